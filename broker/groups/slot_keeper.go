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

// KeeperConfig configures a SlotKeeper.
type KeeperConfig struct {
	Roles       Roles
	Session     metadata.Session
	Coordinator *Coordinator
	Writer      Writer
	Replica     Replica
	Begin       <-chan struct{} // no slot is acquired before it is closed; nil: start at once
	Rand        *rand.Rand      // for the phase of its rounds
	Log         *slog.Logger
}

// The SlotKeeper's intervals and its limits per round.
const (
	roundInterval        = 250 * time.Millisecond // between two checks of the placement
	probeInterval        = 2 * time.Second        // between attempts to acquire a slot that its live owner has not handed over yet
	handOverDelay        = 5 * time.Second        // how long another broker must have won the slot before it is handed over: a restart must not move slots
	maxHandOverDelay     = 30 * time.Second       // the same, while groups of the slot rebalance
	maxHandOversPerRound = 4                      // released in one round
	maxConcurrentRoles   = 8
	roleTimeout          = 5 * time.Second
	releaseTimeout       = 2 * time.Second
	unsurePeriod         = 15 * time.Second // how long a request with an unknown outcome may still take effect: etcd drops one after 7 s
)

// SlotKeeper distributes the slots over the live brokers. It acquires the slots
// that this broker wins once they have no owner, and releases those that
// another broker wins. Each session has its own SlotKeeper.
type SlotKeeper struct {
	cfg KeeperConfig

	// Owned by Run.
	roles          [metadata.GroupSlots]metadata.Role // Epoch 0: not held
	lastTry        [metadata.GroupSlots]time.Time     // last attempt to acquire it
	contestedSince [metadata.GroupSlots]time.Time     // since when the owner and the winner differ, one of them being this broker
	// unsureUntil is until when a request with an unknown outcome may still make the
	// role's key ours. A key that is held but not coordinated would leave its groups
	// without a coordinator.
	unsureUntil [metadata.GroupSlots]time.Time
	lastCheck   [metadata.GroupSlots]time.Time // last check for such a key

	settled atomic.Bool // every slot that this broker wins has, or had, a live owner
}

// NewSlotKeeper returns a SlotKeeper; Run starts it.
func NewSlotKeeper(c KeeperConfig) *SlotKeeper {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &SlotKeeper{cfg: c}
}

// Settled reports whether every slot that this broker wins has had a live owner
// since Run started: this broker, or one that will hand it over.
func (k *SlotKeeper) Settled() bool { return k.settled.Load() }

// Run maintains the slots until ctx ends, and then releases all of them. If the
// session is lost, the slots are lost with it and Run returns ErrSessionLost.
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
			case <-k.cfg.Session.Done(): // the reason why ctx ended: there is nothing left to release
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

// slotPlan is a slot in the applied state.
type slotPlan struct {
	oursByPlacement  bool // this broker wins it
	peersByPlacement bool // another live broker wins it
	heldByPeer       bool // its owner is another live broker that does not drain
	claimedEpoch     metadata.RoleEpoch
	claimedByUs      bool // the claimed epoch is our session's
}

// readPlans reads every slot's plan, and whether this broker drains.
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

// runRound checks all slots, then releases and acquires.
func (k *SlotKeeper) runRound(ctx context.Context) {
	plans, draining := k.readPlans()
	now := time.Now()
	var take, give, doubt []metadata.Slot
	for i := range plans {
		slot, p := metadata.Slot(i), plans[i]
		held := k.roles[i].Epoch != 0
		if held && (p.claimedEpoch > k.roles[i].Epoch || !k.cfg.Coordinator.Owns(slot)) {
			k.releaseSlot(ctx, slot) // lost, or the coordinator's write was refused: start over
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

// contestedFor returns how long a slot's owner and its winner have been
// different brokers, one of them this broker. Both measure the time, so that
// the winner knows when to retry often: a released slot has no coordinator
// until it is acquired.
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

// areSlotsPlaced reports whether every slot that this broker wins is
// coordinated here, or by a live broker that will hand it over.
func (k *SlotKeeper) areSlotsPlaced(plans [metadata.GroupSlots]slotPlan) bool {
	for i := range plans {
		if plans[i].oursByPlacement && !plans[i].heldByPeer && !k.cfg.Coordinator.Owns(metadata.Slot(i)) {
			return false
		}
	}
	return true
}

// runConcurrently runs f for each slot, a few at a time, and waits for all.
// Each call uses only its own slot's elements.
func runConcurrently(slots []metadata.Slot, f func(metadata.Slot)) {
	for part := range slices.Chunk(slots, maxConcurrentRoles) {
		var wg sync.WaitGroup
		for _, slot := range part {
			wg.Go(func() { f(slot) })
		}
		wg.Wait()
	}
}

// takeSlot acquires the role, claims it, and makes the coordinator take it
// over. It returns the role if its key is ours.
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
	if d.Epoch == p.claimedEpoch && p.claimedByUs { // an earlier claim with an unknown outcome
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
	return d // the next round finds it held but not coordinated, and starts over
}

// releaseSlot hands a slot over: parked requests complete first, then the key
// is deleted.
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

// releaseIfOurs releases a slot's key if a request with an unknown outcome made
// it ours.
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

// dropAllSlots stops coordinating at once: the keys are gone with the session.
func (k *SlotKeeper) dropAllSlots() {
	for _, slot := range listAllSlots() {
		k.cfg.Coordinator.Release(slot)
		k.roles[slot] = metadata.Role{}
	}
}
