package groups

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// Coordinator serves the group requests for the slots that this broker owns. It
// is safe for concurrent use.
type Coordinator struct {
	cfg          Config
	limits       limits
	ctx          context.Context // ends with Close
	cancel       context.CancelFunc
	wg           sync.WaitGroup // groups and their writes, and expireLoop
	pool         memoryPool
	lastLimitLog atomic.Int64 // when a limit's refusal was last logged

	mu         sync.Mutex // guards what follows, and cfg.Rand
	closed     bool
	ownedSlots [metadata.GroupSlots]*ownedSlot
	// releasedEpochs is the epoch at which this broker last released or lost
	// the slot.
	releasedEpochs [metadata.GroupSlots]metadata.RoleEpoch
	liveGroups     int // groups with a goroutine, of all owned slots

	topicNames atomic.Pointer[topicNames] // cache of all topics' names
}

// ownedSlot is a slot at one epoch.
type ownedSlot struct {
	slot   metadata.Slot
	epoch  metadata.RoleEpoch // 0: role acquired, not claimed yet
	ctx    context.Context    // ends when the slot is lost
	cancel context.CancelFunc

	ready  bool              // loaded; under Coordinator.mu
	groups map[string]*group // under Coordinator.mu
}

// Open returns a coordinator that owns no slot yet. Zero fields of c take
// defaults.
func Open(c Config) (*Coordinator, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	opened := &Coordinator{cfg: c, ctx: ctx, cancel: cancel, limits: limits{initialDelay: c.InitialRebalanceDelay,
		maxClassicMembers: c.MaxGroupSize, maxConsumers: c.MaxConsumers, maxGroupBytes: c.MaxGroupBytes}}
	opened.pool.limit = int64(c.MaxMemberBytes)
	phase := time.Duration(c.Rand.Int64N(int64(expireInterval)))
	opened.wg.Go(func() { opened.expireLoop(phase) })
	return opened, nil
}

// Close releases all slots, completes parked requests with NOT_COORDINATOR, and
// waits for every goroutine.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for slot := range metadata.Slot(metadata.GroupSlots) {
		c.Release(slot)
	}
	c.cancel()
	c.wg.Wait()
}

// Prepare is called when this broker has acquired the slot's role and is about
// to claim it: until TakeOver or Release, requests for its groups get
// COORDINATOR_LOAD_IN_PROGRESS.
func (c *Coordinator) Prepare(slot metadata.Slot) { c.installSlot(slot, 0) }

// TakeOver is called when this broker owns the slot at this epoch: its
// ClaimRole was applied. Groups with members are loaded from the state, and
// their session timers restart. An epoch that is not above the current one is
// ignored.
func (c *Coordinator) TakeOver(ctx context.Context, slot metadata.Slot, epoch metadata.RoleEpoch) {
	h := c.installSlot(slot, epoch)
	if h == nil {
		return
	}
	var names []string
	c.cfg.Replica.View(func(s *metadata.State) {
		for _, name := range s.Groups() {
			if metadata.GroupSlot(name) != slot {
				continue
			}
			if v, ok := s.Group(name); ok && (v.Group != nil && len(v.Group.Members) > 0 || v.Consumer != nil && v.Consumer.Members > 0) {
				names = append(names, name)
			}
		}
	})
	c.mu.Lock()
	for _, name := range names {
		if c.ownedSlots[slot] == h && !c.closed {
			c.startGroup(h, name)
		}
	}
	h.ready = true
	c.mu.Unlock()
	c.cfg.Log.Debug("group slot acquired", "slot", slot, "epoch", epoch, "groups", len(names))
}

// installSlot replaces what is known of a slot; nil if that has the same or a
// later epoch.
func (c *Coordinator) installSlot(slot metadata.Slot, epoch metadata.RoleEpoch) *ownedSlot {
	ctx, lose := context.WithCancel(c.ctx)
	h := &ownedSlot{slot: slot, epoch: epoch, ctx: ctx, cancel: lose, groups: map[string]*group{}}
	c.mu.Lock()
	old := c.ownedSlots[slot]
	if c.closed || old != nil && old.epoch >= epoch {
		c.mu.Unlock()
		lose()
		return nil
	}
	c.ownedSlots[slot] = h
	if old != nil {
		c.liveGroups -= len(old.groups)
	}
	c.mu.Unlock()
	if old != nil {
		old.cancel()
	}
	return h
}

// Release is called when the slot is lost or given up: parked requests complete
// with NOT_COORDINATOR, and all later ones get it too.
func (c *Coordinator) Release(slot metadata.Slot) { c.releaseSlot(slot, nil) }

// releaseSlot drops the slot if it is h; a nil h matches any.
func (c *Coordinator) releaseSlot(slot metadata.Slot, h *ownedSlot) {
	c.mu.Lock()
	old := c.ownedSlots[slot]
	if old == nil || h != nil && old != h {
		c.mu.Unlock()
		return
	}
	c.ownedSlots[slot] = nil
	c.releasedEpochs[slot] = max(c.releasedEpochs[slot], old.epoch)
	c.liveGroups -= len(old.groups)
	c.mu.Unlock()
	old.cancel()
	c.cfg.Log.Debug("group slot released", "slot", slot, "epoch", old.epoch)
}

// Owns reports whether this broker coordinates the slot's groups now.
func (c *Coordinator) Owns(slot metadata.Slot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.ownedSlots[slot]
	return h != nil && h.ready
}

// IsRebalancing reports whether a group of the slot is between two generations
// of the classic protocol: its members' JoinGroup requests are in memory only
// and would have to be repeated at another coordinator.
func (c *Coordinator) IsRebalancing(slot metadata.Slot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.ownedSlots[slot]; h != nil {
		for _, g := range h.groups {
			if s := g.summary.Load().state; s == statePreparing.String() || s == stateCompleting.String() {
				return true
			}
		}
	}
	return false
}

// findOwnedSlot returns a slot that this broker owns, or the error code for the
// client. A slot that the applied state shows at a later epoch is released.
func (c *Coordinator) findOwnedSlot(slot metadata.Slot) (*ownedSlot, int16) {
	c.mu.Lock()
	h := c.ownedSlots[slot]
	ready := h != nil && h.ready
	c.mu.Unlock()
	if h == nil {
		return nil, kerr.NotCoordinator.Code
	}
	if !ready {
		return nil, kerr.CoordinatorLoadInProgress.Code
	}
	var epoch metadata.RoleEpoch
	c.cfg.Replica.View(func(s *metadata.State) { epoch = s.RoleEpoch(SlotRole(slot)) })
	if epoch > h.epoch {
		c.releaseSlot(slot, h)
		return nil, kerr.NotCoordinator.Code
	}
	return h, noError
}

// acquireGroup returns the live group of a name, for a caller that must call
// releaseGroup. Without create, a group that is not live is nil with noError:
// it has no members.
func (c *Coordinator) acquireGroup(name string, create bool) (*group, int16) {
	h, code := c.findOwnedSlot(metadata.GroupSlot(name))
	if code != noError {
		return nil, code
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ownedSlots[h.slot] != h || c.closed {
		return nil, kerr.NotCoordinator.Code
	}
	g := h.groups[name]
	if g == nil && create {
		if c.liveGroups >= c.cfg.MaxLiveGroups {
			return nil, kerr.CoordinatorLoadInProgress.Code // room returns when groups become idle
		}
		g = c.startGroup(h, name)
	}
	if g != nil {
		g.refs++
	}
	return g, noError
}

// startGroup makes a group live. The caller holds the mutex.
func (c *Coordinator) startGroup(h *ownedSlot, name string) *group {
	g := &group{c: c, slot: h, name: name, mailbox: make(chan func(time.Time), maxMailbox),
		written: make(chan int16, 1), done: make(chan struct{})}
	g.summary.Store(&summary{state: stateEmpty.String(), kind: groupTypeClassic})
	h.groups[name] = g
	c.liveGroups++
	c.wg.Go(g.run)
	return g
}

func (c *Coordinator) releaseGroup(g *group) {
	c.mu.Lock()
	g.refs--
	c.mu.Unlock()
}

// retireGroup removes an idle group from the table, unless a request is about
// to use it.
func (c *Coordinator) retireGroup(g *group) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.refs > 0 {
		return false
	}
	if g.slot.groups[g.name] == g {
		delete(g.slot.groups, g.name)
		if c.ownedSlots[g.slot.slot] == g.slot {
			c.liveGroups--
		}
	}
	return true
}

// resolveWrite maps a write's outcome to an error code, and releases the slot
// if the outcome proves that it is lost.
func (c *Coordinator) resolveWrite(h *ownedSlot, out metadata.Outcome, err error) int16 {
	if err != nil && h.ctx.Err() != nil {
		return kerr.NotCoordinator.Code
	}
	code, lost := writeResultCode(out, err)
	if lost {
		c.releaseSlot(h.slot, h)
	}
	return code
}

// newMemberID returns a new unique id: the client id or instance id, and 128
// random bits in the form of a UUID.
func (c *Coordinator) newMemberID(prefix string) string {
	if len(prefix) > maxClientPrefix {
		prefix = strings.ToValidUTF8(prefix[:maxClientPrefix], "")
	}
	return prefix + "-" + c.newUUID()
}

func (c *Coordinator) newUUID() string {
	c.mu.Lock()
	a, b := c.cfg.Rand.Uint64(), c.cfg.Rand.Uint64()
	c.mu.Unlock()
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&(1<<48-1))
}
