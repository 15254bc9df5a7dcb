package groups

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// keep runs a slot keeper until the returned function is called.
func (n *node) keep(seed uint64) (stop func() error) { return n.keepBy(seed, n.w.log) }

func (n *node) keepBy(seed uint64, roles Roles) (stop func() error) {
	return n.keepFrom(nil, seed, roles)
}

func (n *node) keepFrom(begin <-chan struct{}, seed uint64, roles Roles) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	k := NewSlotKeeper(KeeperConfig{Roles: roles, Session: n.session, Coordinator: n.coord, Writer: n.writer,
		Replica: n.replica, Begin: begin, Rand: rand.New(rand.NewPCG(seed, 3))})
	done := make(chan error, 1)
	n.wg.Go(func() { done <- k.Run(ctx) })
	return func() error {
		cancel()
		return <-done
	}
}

func (n *node) held() (count int) {
	for _, slot := range listAllSlots() {
		if n.coord.Owns(slot) {
			count++
		}
	}
	return count
}

// agree checks that every slot is held once, and by who the state says.
func agree(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, slot := range listAllSlots() {
		holders := 0
		for _, n := range nodes {
			if !n.coord.Owns(slot) {
				continue
			}
			holders++
			n.replica.View(func(s *metadata.State) {
				if h, ok := SlotOwner(s, slot); !ok || h.ID != n.session.ID() {
					t.Errorf("slot %d: the state says %+v", slot, h)
				}
			})
		}
		if holders != 1 {
			t.Errorf("slot %d has %d holders", slot, holders)
		}
	}
}

// Brokers that come and go share the slots; each slot has one holder.
func TestSlotsSpreadOverLiveBrokers(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start(1)
		stopA := a.keep(1)
		time.Sleep(3 * time.Second)
		agree(t, a)
		b := w.start(2)
		stopB := b.keep(2)
		time.Sleep(4 * time.Second)
		if b.held() != 0 {
			t.Error("slots moved to a broker that has only just come")
		}
		time.Sleep(20 * time.Second)
		agree(t, a, b)
		if a.held() < 16 || b.held() < 16 {
			t.Errorf("a holds %d, b %d", a.held(), b.held())
		}
		// a dies: b has everything at once.
		w.log.ExpireSession(a.session.ID())
		b.submit(metadata.CloseSession{Session: a.session.ID()})
		if err := stopA(); err != nil && err != metadata.ErrSessionLost {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		agree(t, b)
		if a.held() != 0 {
			t.Error("a dead session still coordinates")
		}
		if err := stopB(); err != nil {
			t.Error(err)
		}
		if b.held() != 0 {
			t.Error("a stopped keeper left slots held")
		}
		a.stop()
		b.stop()
	})
}

// Brokers that begin together have the slots that they win from the first.
func TestBrokersThatBeginTogetherHandNoSlotOn(t *testing.T) {
	inWorld(t, func(w *world) {
		begin := make(chan struct{})
		a := w.start(1)
		defer a.stop()
		defer a.keepFrom(begin, 1, w.log)()
		time.Sleep(3 * time.Second)
		b := w.start(2)
		defer b.stop()
		defer b.keepFrom(begin, 2, w.log)()
		time.Sleep(time.Second)
		if a.held()+b.held() != 0 {
			t.Fatalf("a holds %d slots before it may, b %d", a.held(), b.held())
		}
		close(begin)
		time.Sleep(time.Second)
		agree(t, a, b)
		as, bs := a.held(), b.held()
		if as < 16 || bs < 16 {
			t.Errorf("a holds %d, b %d", as, bs)
		}
		time.Sleep(20 * time.Second)
		if agree(t, a, b); a.held() != as || b.held() != bs {
			t.Errorf("a had %d and has %d, b %d and %d", as, a.held(), bs, b.held())
		}
		c := w.start(3) // it ends before it may begin
		defer c.stop()
		if err := c.keepFrom(make(chan struct{}), 3, w.log)(); err != nil {
			t.Errorf("a keeper that never began: %v", err)
		}
	})
}

// unheard is a log whose answers about roles get lost: every third try took
// place all the same, no first release did.
type unheard struct {
	Roles
	mu       sync.Mutex
	tries    int
	released map[string]bool
}

func (u *unheard) TryRole(ctx context.Context, s metadata.SessionID, name string) (metadata.Role, bool, error) {
	d, ok, err := u.Roles.TryRole(ctx, s, name)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tries++; u.tries%3 == 0 {
		return metadata.Role{}, false, context.DeadlineExceeded
	}
	return d, ok, err
}

func (u *unheard) ReleaseRole(ctx context.Context, d metadata.Role) error {
	u.mu.Lock()
	again := u.released[d.Name]
	u.released[d.Name] = true
	u.mu.Unlock()
	if !again {
		return context.DeadlineExceeded
	}
	return u.Roles.ReleaseRole(ctx, d)
}

// A key that is held and not coordinated would keep its groups from everybody:
// where an answer was lost, the keeper finds out.
func TestNoSlotIsHeldUnawares(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start(1)
		defer a.stop()
		defer a.keepBy(1, &unheard{Roles: w.log, released: map[string]bool{}})()
		time.Sleep(5 * time.Second)
		agree(t, a)
		b := w.start(2)
		defer b.stop()
		defer b.keep(2)()
		time.Sleep(time.Minute)
		agree(t, a, b)
	})
}

// belated is a log whose first try for each role is not answered, and takes
// effect eight seconds later.
type belated struct {
	Roles
	mu    sync.Mutex
	tried map[string]bool
	late  sync.WaitGroup
}

func (b *belated) TryRole(ctx context.Context, s metadata.SessionID, name string) (metadata.Role, bool, error) {
	b.mu.Lock()
	again := b.tried[name]
	b.tried[name] = true
	b.mu.Unlock()
	if again {
		return b.Roles.TryRole(ctx, s, name)
	}
	b.late.Go(func() {
		time.Sleep(8 * time.Second)
		b.Roles.TryRole(context.WithoutCancel(ctx), s, name)
	})
	return metadata.Role{}, false, context.DeadlineExceeded
}

// A request that takes effect long after its caller has given it up gives a broker
// the key of a slot that is another's by then: it lets go of it again.
func TestASlotThatIsTakenLateIsLetGo(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start(1)
		defer a.stop()
		late := &belated{Roles: w.log, tried: map[string]bool{}}
		defer late.late.Wait()
		defer a.keepBy(1, late)()
		time.Sleep(200 * time.Millisecond)
		b := w.start(2) // its slots are free until it takes them
		defer b.stop()
		time.Sleep(12 * time.Second)
		defer b.keep(2)()
		time.Sleep(20 * time.Second)
		agree(t, a, b)
	})
}

// A draining broker's slots are with the others within a second or two, and
// members of its groups go on without a rebalance.
func TestDrainHandsSlotsAndGroupsOver(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.start(1), w.start(2)
		defer a.stop()
		defer b.stop()
		a.makeTopic()
		defer a.keep(1)()
		defer b.keep(2)()
		time.Sleep(20 * time.Second)
		agree(t, a, b)
		at, to := a, b
		if b.coord.Owns(metadata.GroupSlot("g")) {
			at, to = b, a
		}
		c := at.consumer("")
		w.gather(c)
		at.submit(metadata.DrainSession{})
		time.Sleep(1500 * time.Millisecond)
		agree(t, a, b)
		if at.held() != 0 {
			t.Errorf("the draining broker holds %d slots", at.held())
		}
		want(t, "heartbeat at the old", c.heartbeat(), kerr.NotCoordinator.Code)
		c.n = to
		want(t, "heartbeat at the new", c.heartbeat(), noError)
	})
}

// A slot whose coordinator saw a refusal is taken anew, under a new epoch.
func TestKeeperBeginsAnewWhereTheCoordinatorGaveUp(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start(1)
		defer a.stop()
		defer a.keep(1)()
		time.Sleep(2 * time.Second)
		a.coord.Release(7)
		time.Sleep(2 * time.Second)
		agree(t, a)
	})
}

// A claim whose outcome is not heard costs a round, not the slot.
func TestKeeperGetsOverAClaimThatFails(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start(1)
		defer a.stop()
		fails := 0
		a.writer.fault = func([]metadata.Command) error {
			if fails++; fails < 40 {
				return context.DeadlineExceeded
			}
			return nil
		}
		defer a.keep(1)()
		time.Sleep(5 * time.Second)
		agree(t, a)
	})
}
