package groups

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// KeeperConfig is what a SlotKeeper needs.
type KeeperConfig struct {
	Roles       Roles
	Session     metadata.Session
	Coordinator *Coordinator
	Writer      Writer
	Replica     Replica
	Begin       <-chan struct{} // no slot is taken before it is closed; nil: there is nothing to wait for
	Rand        *rand.Rand      // the phase of its rounds
	Log         *slog.Logger
}

// The keeper's times, and how much it does at once.
const (
	roundInterval        = 250 * time.Millisecond // between two looks at the placement
	probeInterval        = 2 * time.Second        // between tries for a slot whose holder lives and will hand it over, before that is due
	handOverDelay        = 5 * time.Second        // that long a better holder must have been there: a restart is no reason to move
	maxHandOverDelay     = 30 * time.Second       // the same, where groups of the slot are being formed meanwhile
	maxHandOversPerRound = 4                      // given up in one round
	maxConcurrentRoles   = 8
	roleTimeout          = 5 * time.Second
	releaseTimeout       = 2 * time.Second
	unsurePeriod         = 15 * time.Second // how late a request without an answer is looked out for: etcd gives one up after 7
)

// SlotKeeper spreads the slots over the live brokers: this one's takes the
// slots that it wins, once nobody holds them, and gives those up that another
// wins. One lives as long as its session.
type SlotKeeper struct {
	cfg KeeperConfig

	// Owned by Run.
	roles          [metadata.GroupSlots]metadata.Role // Epoch 0: not held
	lastTry        [metadata.GroupSlots]time.Time     // last try for it
	contestedSince [metadata.GroupSlots]time.Time     // since when another should have it, or we should have another's
	// unsureUntil: until when a key may become ours of which it was not heard whether it
	// is: a request without an answer may take effect late. A key that is held and
	// not coordinated would keep its groups from everybody else.
	unsureUntil [metadata.GroupSlots]time.Time
	lastCheck   [metadata.GroupSlots]time.Time // when it was last looked at for that

	settled atomic.Bool // every slot that this broker wins has, or had, a live holder
}

// NewSlotKeeper returns a keeper; Run starts it.
func NewSlotKeeper(c KeeperConfig) *SlotKeeper {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &SlotKeeper{cfg: c}
}

// Settled reports whether every slot that this broker wins has had a live holder,
// this broker or one that will hand it over, since Run began.
func (k *SlotKeeper) Settled() bool { return k.settled.Load() }

// Run keeps slots until ctx ends, then gives them all up; or until the
// session is lost, when they are gone: ErrSessionLost.
func (k *SlotKeeper) Run(ctx context.Context) error {
	if k.cfg.Begin != nil {
		select {
		case <-k.cfg.Begin:
		case <-k.cfg.Session.Done():
		case <-ctx.Done():
		}
	}
	timer := time.NewTimer(time.Duration(k.cfg.Rand.Int64N(int64(roundInterval / 4))))
	defer timer.Stop()
	for {
		select {
		case <-k.cfg.Session.Done():
			k.dropAllSlots()
			return metadata.ErrSessionLost
		case <-ctx.Done():
			select {
			case <-k.cfg.Session.Done(): // why ctx ended: there is nothing left to give up
				k.dropAllSlots()
				return metadata.ErrSessionLost
			default:
			}
			k.releaseAllSlots(ctx)
			return nil
		case <-timer.C:
		}
		k.runRound(ctx)
		timer.Reset(roundInterval + time.Duration(k.cfg.Rand.Int64N(int64(roundInterval/4))))
	}
}

// slotPlan is what one look at the state says of a slot.
type slotPlan struct {
	oursByPlacement  bool // this broker wins it
	peersByPlacement bool // another live broker wins it
	heldByPeer       bool // its holder lives, does not drain, and is not us
	claimedEpoch     metadata.RoleEpoch
	claimedByUs      bool // the claimed epoch is our session's
}

// readPlans reads the plan of every slot, and whether this broker drains.
func (k *SlotKeeper) readPlans() (plans [metadata.GroupSlots]slotPlan, draining bool) {
	id := k.cfg.Session.ID()
	k.cfg.Replica.View(func(s *metadata.State) {
		self, open := s.Session(id)
		draining = open && self.Draining
		for i := range plans {
			slot, p := metadata.Slot(i), &plans[i]
			winner := slotWinner(s.Placement(), slot)
			p.oursByPlacement = open && winner == self.Broker
			p.peersByPlacement = winner != metadata.NoBroker && !p.oursByPlacement
			p.claimedEpoch = s.RoleEpoch(SlotRole(slot))
			holder, held := SlotOwner(s, slot)
			p.claimedByUs = held && holder.ID == id
			p.heldByPeer = held && holder.ID != id && !holder.Draining
		}
	})
	return plans, draining
}

// runRound is one look and what follows from it.
func (k *SlotKeeper) runRound(ctx context.Context) {
	plans, draining := k.readPlans()
	now := time.Now()
	var take, give, doubt []metadata.Slot
	for i := range plans {
		slot, p := metadata.Slot(i), plans[i]
		held := k.roles[i].Epoch != 0
		if held && (p.claimedEpoch > k.roles[i].Epoch || !k.cfg.Coordinator.Owns(slot)) {
			k.releaseSlot(ctx, slot) // lost, or the coordinator saw a refusal: begin anew
			held = false
		}
		since := k.contestedFor(i, held && p.peersByPlacement || !held && p.oursByPlacement && p.heldByPeer, now)
		switch {
		case held && draining && p.peersByPlacement:
			give = append(give, slot)
		case held && p.peersByPlacement:
			if since >= handOverDelay && len(give) < maxHandOversPerRound && (since >= maxHandOverDelay || !k.cfg.Coordinator.IsRebalancing(slot)) {
				give = append(give, slot)
			}
		case held:
		case p.oursByPlacement && (!p.heldByPeer || since >= handOverDelay || now.Sub(k.lastTry[i]) >= probeInterval):
			k.lastTry[i] = now
			take = append(take, slot)
		case !p.oursByPlacement && now.Before(k.unsureUntil[i]) && now.Sub(k.lastCheck[i]) >= probeInterval:
			k.lastCheck[i] = now
			doubt = append(doubt, slot)
		}
	}
	runConcurrently(give, func(slot metadata.Slot) { k.releaseSlot(ctx, slot) })
	runConcurrently(take, func(slot metadata.Slot) { k.roles[slot] = k.takeSlot(ctx, slot, plans[slot]) })
	runConcurrently(doubt, func(slot metadata.Slot) { k.releaseIfOurs(ctx, slot) })
	if !k.settled.Load() {
		k.settled.Store(k.areSlotsPlaced(plans))
	}
}

// contestedFor returns for how long a slot's holder and its winner have been two, one
// of them this broker. Both count by themselves, so that the winner knows when
// it is worth asking again and again: a slot that is given up and not yet taken
// has no coordinator.
func (k *SlotKeeper) contestedFor(i int, two bool, now time.Time) time.Duration {
	if !two {
		k.contestedSince[i] = time.Time{}
		return 0
	}
	if k.contestedSince[i].IsZero() {
		k.contestedSince[i] = now
	}
	return now.Sub(k.contestedSince[i])
}

// areSlotsPlaced reports whether every slot that this broker wins is coordinated here, or
// by a live broker that will hand it over.
func (k *SlotKeeper) areSlotsPlaced(plans [metadata.GroupSlots]slotPlan) bool {
	for i := range plans {
		if plans[i].oursByPlacement && !plans[i].heldByPeer && !k.cfg.Coordinator.Owns(metadata.Slot(i)) {
			return false
		}
	}
	return true
}

// runConcurrently runs f for each slot, a few at a time, and waits for all: each call
// touches its own slot's places only.
func runConcurrently(slots []metadata.Slot, f func(metadata.Slot)) {
	for part := range slices.Chunk(slots, maxConcurrentRoles) {
		var wg sync.WaitGroup
		for _, slot := range part {
			wg.Go(func() { f(slot) })
		}
		wg.Wait()
	}
}

// takeSlot takes the duty, claims it, and has the coordinator hold it. It returns
// the duty where its key is ours.
func (k *SlotKeeper) takeSlot(ctx context.Context, slot metadata.Slot, p slotPlan) metadata.Role {
	ctx, cancel := context.WithTimeout(ctx, roleTimeout)
	defer cancel()
	d, ok, err := k.cfg.Roles.TryRole(ctx, k.cfg.Session.ID(), SlotRole(slot))
	if err != nil || !ok {
		if err != nil {
			k.unsureUntil[slot] = time.Now().Add(unsurePeriod)
			metadata.LogFailure(k.cfg.Log, "acquire group slot", err, "slot", slot)
		}
		return metadata.Role{}
	}
	if d.Epoch == p.claimedEpoch && p.claimedByUs { // an earlier claim whose outcome we did not hear
		k.cfg.Coordinator.TakeOver(ctx, slot, d.Epoch)
		return d
	}
	k.cfg.Coordinator.Prepare(slot)
	out, err := k.cfg.Writer.Submit(ctx, []metadata.Command{metadata.ClaimRole{Role: d.Name, Epoch: d.Epoch}},
		&metadata.Guard{Role: d.Name, RoleEpoch: d.Epoch})
	if err == nil && out.Code == metadata.CodeOK && len(out.Commands) == 1 && out.Commands[0].Code == metadata.CodeOK {
		k.cfg.Coordinator.TakeOver(ctx, slot, d.Epoch)
		return d
	}
	k.cfg.Log.Warn("claim group slot failed", "slot", slot, "epoch", d.Epoch, "code", out.Code, "err", err)
	return d // the next round finds it held and not coordinated, and begins anew
}

// releaseSlot hands a slot over: parked calls are answered first, then the key goes.
func (k *SlotKeeper) releaseSlot(ctx context.Context, slot metadata.Slot) {
	k.cfg.Coordinator.Release(slot)
	d := k.roles[slot]
	k.roles[slot], k.contestedSince[slot], k.lastTry[slot] = metadata.Role{}, time.Time{}, time.Time{}
	if d.Epoch == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := k.cfg.Roles.ReleaseRole(ctx, d); err != nil {
		k.unsureUntil[slot] = time.Now().Add(unsurePeriod)
		metadata.LogFailure(k.cfg.Log, "release group slot", err, "slot", slot)
	}
}

// releaseIfOurs lets go of a slot's key if it is ours after all.
func (k *SlotKeeper) releaseIfOurs(ctx context.Context, slot metadata.Slot) {
	tctx, cancel := context.WithTimeout(ctx, roleTimeout)
	defer cancel()
	d, ours, err := k.cfg.Roles.TryRole(tctx, k.cfg.Session.ID(), SlotRole(slot))
	if err != nil {
		metadata.LogFailure(k.cfg.Log, "check group slot owner", err, "slot", slot)
		return
	}
	if ours {
		k.roles[slot] = d
		k.releaseSlot(ctx, slot)
	}
}

func (k *SlotKeeper) releaseAllSlots(ctx context.Context) {
	runConcurrently(listAllSlots(), func(slot metadata.Slot) { k.releaseSlot(ctx, slot) })
}

func listAllSlots() []metadata.Slot {
	out := make([]metadata.Slot, metadata.GroupSlots)
	for i := range out {
		out[i] = metadata.Slot(i)
	}
	return out
}

// dropAllSlots stops coordinating at once: the keys went with the session.
func (k *SlotKeeper) dropAllSlots() {
	for _, slot := range listAllSlots() {
		k.cfg.Coordinator.Release(slot)
		k.roles[slot] = metadata.Role{}
	}
}
