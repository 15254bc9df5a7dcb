package groups

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Coordinator answers the group requests for the slots that this broker
// holds. It is safe for concurrent use.
type Coordinator struct {
	cfg    Config
	limits limits
	life   context.Context // ends with Close
	end    context.CancelFunc
	wg     sync.WaitGroup // groups and their writes, and expireLoop
	pool   pool
	said   atomic.Int64 // when a limit's refusal was last told to the log

	mu     sync.Mutex // guards what follows, and cfg.Rand
	closed bool
	holds  [metadata.GroupSlots]*hold
	// left is the epoch at which this broker last gave the slot up, or lost it.
	left [metadata.GroupSlots]metadata.RoleEpoch
	live int // groups with a goroutine, of all holds

	names atomic.Pointer[topicNames] // of the last look at all topics
}

// hold is a slot at one epoch.
type hold struct {
	slot  metadata.Slot
	epoch metadata.RoleEpoch // 0: being taken over, not claimed yet
	ctx   context.Context    // ends when the slot is lost
	lose  context.CancelFunc

	ready  bool              // loaded; under Coordinator.mu
	groups map[string]*group // under Coordinator.mu
}

// Open returns a coordinator that holds no slot yet. The zero fields of c take
// defaults.
func Open(c Config) (*Coordinator, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	opened := &Coordinator{cfg: c, life: life, end: end, limits: limits{initialDelay: c.InitialRebalanceDelay,
		size: c.MaxGroupSize, consumers: c.MaxConsumers, groupBytes: c.MaxGroupBytes}}
	opened.pool.limit = int64(c.MaxMemberBytes)
	phase := time.Duration(c.Rand.Int64N(int64(expireEvery)))
	opened.wg.Go(func() { opened.expireLoop(phase) })
	return opened, nil
}

// Close gives all slots up, answers what is parked with NOT_COORDINATOR, and
// waits for every goroutine.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for slot := range metadata.Slot(metadata.GroupSlots) {
		c.Release(slot)
	}
	c.end()
	c.wg.Wait()
}

// Prepare says that this broker has taken the slot's duty and is about to
// claim it: until Hold or Release its groups answer LOAD_IN_PROGRESS.
func (c *Coordinator) Prepare(slot metadata.Slot) { c.install(slot, 0) }

// Hold says that this broker now holds the slot at this epoch: its Claim was
// applied. Groups with members are loaded from the state; their session
// timers start anew. An epoch not above the one held is ignored.
func (c *Coordinator) Hold(ctx context.Context, slot metadata.Slot, epoch metadata.RoleEpoch) {
	h := c.install(slot, epoch)
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
		if c.holds[slot] == h && !c.closed {
			c.start(h, name)
		}
	}
	h.ready = true
	c.mu.Unlock()
	c.cfg.Log.Debug("group slot held", "slot", slot, "epoch", epoch, "groups", len(names))
}

// install puts a hold in place of what was there; nil where that is as new.
func (c *Coordinator) install(slot metadata.Slot, epoch metadata.RoleEpoch) *hold {
	ctx, lose := context.WithCancel(c.life)
	h := &hold{slot: slot, epoch: epoch, ctx: ctx, lose: lose, groups: map[string]*group{}}
	c.mu.Lock()
	old := c.holds[slot]
	if c.closed || old != nil && old.epoch >= epoch {
		c.mu.Unlock()
		lose()
		return nil
	}
	c.holds[slot] = h
	if old != nil {
		c.live -= len(old.groups)
	}
	c.mu.Unlock()
	if old != nil {
		old.lose()
	}
	return h
}

// Release says that the slot is lost or given up: parked calls are answered
// NOT_COORDINATOR, and so is every later one.
func (c *Coordinator) Release(slot metadata.Slot) { c.release(slot, nil) }

// release drops the slot's hold if it is h, or whatever it is.
func (c *Coordinator) release(slot metadata.Slot, h *hold) {
	c.mu.Lock()
	old := c.holds[slot]
	if old == nil || h != nil && old != h {
		c.mu.Unlock()
		return
	}
	c.holds[slot] = nil
	c.left[slot] = max(c.left[slot], old.epoch)
	c.live -= len(old.groups)
	c.mu.Unlock()
	old.lose()
	c.cfg.Log.Debug("group slot released", "slot", slot, "epoch", old.epoch)
}

// Holds reports whether this broker coordinates the slot's groups now.
func (c *Coordinator) Holds(slot metadata.Slot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.holds[slot]
	return h != nil && h.ready
}

// Forming reports whether a group of the slot is between two generations of the
// classic protocol: what its members have said is in memory alone, and would have
// to be said again to another coordinator.
func (c *Coordinator) Forming(slot metadata.Slot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.holds[slot]; h != nil {
		for _, g := range h.groups {
			if s := g.summary.Load().state; s == statePreparing.String() || s == stateCompleting.String() {
				return true
			}
		}
	}
	return false
}

// holdOf returns the hold of a group's slot, or the code that a client gets.
// A slot that the applied state shows at a later epoch is given up.
func (c *Coordinator) holdOf(slot metadata.Slot) (*hold, int16) {
	c.mu.Lock()
	h := c.holds[slot]
	ready := h != nil && h.ready
	c.mu.Unlock()
	if h == nil {
		return nil, codeNotCoordinator
	}
	if !ready {
		return nil, codeLoadInProgress
	}
	var epoch metadata.RoleEpoch
	c.cfg.Replica.View(func(s *metadata.State) { epoch = s.DutyEpoch(SlotRole(slot)) })
	if epoch > h.epoch {
		c.release(slot, h)
		return nil, codeNotCoordinator
	}
	return h, codeOK
}

// group returns the live group of a name, for a caller that must call unref.
// Without create a group that is not live is nil, with codeOK: it has no
// members.
func (c *Coordinator) group(name string, create bool) (*group, int16) {
	h, code := c.holdOf(metadata.GroupSlot(name))
	if code != codeOK {
		return nil, code
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds[h.slot] != h || c.closed {
		return nil, codeNotCoordinator
	}
	g := h.groups[name]
	if g == nil && create {
		if c.live >= c.cfg.MaxLiveGroups {
			return nil, codeLoadInProgress // groups fall idle
		}
		g = c.start(h, name)
	}
	if g != nil {
		g.refs++
	}
	return g, codeOK
}

// start makes a group live. The caller has the mutex.
func (c *Coordinator) start(h *hold, name string) *group {
	g := &group{c: c, hold: h, name: name, mailbox: make(chan func(time.Time), maxMailbox),
		written: make(chan int16, 1), done: make(chan struct{})}
	g.summary.Store(&summary{state: stateEmpty.String(), kind: groupTypeClassic})
	h.groups[name] = g
	c.live++
	c.wg.Go(g.run)
	return g
}

func (c *Coordinator) unref(g *group) {
	c.mu.Lock()
	g.refs--
	c.mu.Unlock()
}

// retire takes a quiet group out of the table, unless somebody is about to
// use it.
func (c *Coordinator) retire(g *group) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.refs > 0 {
		return false
	}
	if g.hold.groups[g.name] == g {
		delete(g.hold.groups, g.name)
		if c.holds[g.hold.slot] == g.hold {
			c.live--
		}
	}
	return true
}

// settle turns a write's outcome into a code, and gives the slot up where the
// outcome proves it lost.
func (c *Coordinator) settle(h *hold, out metadata.Outcome, err error) int16 {
	if err != nil && h.ctx.Err() != nil {
		return codeNotCoordinator
	}
	code, lost := codeOfWrite(out, err)
	if lost {
		c.release(h.slot, h)
	}
	return code
}

// newMemberID returns an id that no member had: the client's or instance's
// name, and 128 random bits in the form of a UUID.
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
