package groups

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

func want(t *testing.T, what string, got, expected int16) {
	t.Helper()
	if got != expected {
		t.Errorf("%s: code %d, want %d", what, got, expected)
	}
}

// Three members join, one leaves, the rest share what it had.
func TestThreeMembersJoinRebalanceAndLeave(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b, c := n.consumer(""), n.consumer(""), n.consumer("")
		w.gather(a, b, c)
		if a.generation != 1 || b.generation != 1 || c.generation != 1 {
			t.Fatalf("generations %d %d %d, want 1: the initial delay gathers them", a.generation, b.generation, c.generation)
		}
		for _, m := range []*consumer{a, b, c} {
			want(t, "heartbeat", m.heartbeat(), noError)
		}
		want(t, "leave", c.leave(), noError)
		want(t, "heartbeat of who left", c.heartbeat(), kerr.UnknownMemberID.Code)
		want(t, "heartbeat in a rebalance", a.heartbeat(), kerr.RebalanceInProgress.Code)
		w.gather(a, b)
		if a.generation != 2 || len(n.describe("g").Members) != 2 {
			t.Fatalf("generation %d, want 2; %+v", a.generation, n.describe("g"))
		}
		if d := n.describe("g"); d.State != "Stable" || d.Protocol != "range" || d.ProtocolType != "consumer" {
			t.Fatalf("describe: %+v", d)
		}
		want(t, "leave", a.leave(), noError)
		want(t, "leave", b.leave(), noError)
		time.Sleep(100 * time.Millisecond)
		if d := n.describe("g"); d.State != "Empty" || len(d.Members) != 0 {
			t.Fatalf("describe: %+v", d)
		}
	})
}

// SyncGroup answers with what the leader sent, after it was stored; a leader
// that never sends is expelled, and the others join again.
func TestRow16SyncWaitsForTheLeadersAssignment(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b := n.consumer(""), n.consumer("")
		a.session, b.session = 20*time.Minute, 20*time.Minute
		together(func() { a.join() }, func() { b.join() })
		leader, follower := a, b
		if b.leader {
			leader, follower = b, a
		}
		begin := time.Now()
		want(t, "follower's sync without the leader", follower.sync(), kerr.RebalanceInProgress.Code)
		if waited := time.Since(begin); waited != time.Minute {
			t.Errorf("waited %v, want the rebalance timeout", waited)
		}
		want(t, "leader's heartbeat", leader.heartbeat(), kerr.UnknownMemberID.Code)
		w.gather(follower)
	})
}

// A member that falls silent is out after its session timeout; parked members
// do not need heartbeats.
func TestSilentMemberIsExpelledAfterItsSession(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b := n.consumer(""), n.consumer("")
		w.gather(a, b)
		for range 3 {
			time.Sleep(3 * time.Second)
			want(t, "heartbeat", a.heartbeat(), noError)
		}
		time.Sleep(2 * time.Second) // b: 11 s
		want(t, "heartbeat of the other", a.heartbeat(), kerr.RebalanceInProgress.Code)
		want(t, "heartbeat of the silent", b.heartbeat(), kerr.UnknownMemberID.Code)
		w.gather(a)
	})
}

// Cooperative consumers rebalance twice: to give up, then to take over. All
// it needs is right generations and the same protocol (KIP-429).
func TestCooperativeTwoStep(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b := n.consumer(""), n.consumer("")
		a.protocols, b.protocols = protocols("cooperative-sticky", "t"), protocols("cooperative-sticky", "t")
		w.gather(a)
		joined := make(chan int16, 1)
		go func() { joined <- b.join() }()
		time.Sleep(100 * time.Millisecond)
		want(t, "heartbeat", a.heartbeat(), kerr.RebalanceInProgress.Code)
		want(t, "commit while preparing", a.commit(7), noError)
		want(t, "a joins", a.join(), noError)
		want(t, "b joins", <-joined, noError)
		want(t, "commit before sync", a.commit(7), kerr.RebalanceInProgress.Code)
		together(func() { a.sync() }, func() { b.sync() })
		// The leader's owned partitions changed: it joins again by itself.
		a.protocols = protocols("cooperative-sticky", "t", "given-up")
		go func() { joined <- a.join() }()
		time.Sleep(100 * time.Millisecond)
		want(t, "heartbeat", b.heartbeat(), kerr.RebalanceInProgress.Code)
		want(t, "b joins", b.join(), noError)
		want(t, "a joins", <-joined, noError)
		if a.generation != 3 || b.generation != 3 {
			t.Errorf("generations %d %d, want 3", a.generation, b.generation)
		}
		together(func() { a.sync() }, func() { b.sync() })
		want(t, "heartbeat", a.heartbeat(), noError)
	})
}

// A rebalance waits for who was promised an id.
func TestRebalanceWaitsForPromisedMembers(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b, c := n.consumer(""), n.consumer(""), n.consumer("")
		w.gather(a, b)
		promised := n.coord.Join(c.ctx, Client{ID: "cl"}, c.joinRequest())
		want(t, "promise", promised.ErrorCode, kerr.MemberIDRequired.Code)
		c.id = promised.MemberID
		want(t, "leave", b.leave(), noError)
		got := make(chan int16, 1)
		go func() { got <- a.join() }()
		time.Sleep(time.Second)
		want(t, "c joins", c.join(), noError)
		want(t, "a joins", <-got, noError)
		if a.generation != 2 || c.generation != 2 {
			t.Errorf("generations %d and %d, want one rebalance", a.generation, c.generation)
		}
	})
}

// What is left of a group that everybody left is stored, also when the log
// was away: the next holder waits for nobody.
func TestEmptyGroupIsStoredEmpty(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		w.gather(a)
		fails := 3
		n.writer.fault = func([]metadata.Command) error {
			if fails--; fails >= 0 {
				return errors.New("etcd is away")
			}
			return nil
		}
		want(t, "leave", a.leave(), noError)
		members := func() (count int) {
			n.replica.View(func(s *metadata.State) {
				v, _ := s.Group("g")
				count = len(v.Group.Members)
			})
			return count
		}
		time.Sleep(time.Second)
		if members() != 1 {
			t.Error("stored while the log was away")
		}
		time.Sleep(5 * time.Second)
		if members() != 0 {
			t.Error("a group that everybody left is stored with members")
		}
	})
}

// A group is not forgotten under a caller.
func TestGroupInUseIsNotRetired(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		g, _ := n.coord.acquireGroup("g", true)
		time.Sleep(time.Minute)
		if !g.post(func(time.Time) {}) {
			t.Error("the group's goroutine ended under a caller")
		}
		n.coord.releaseGroup(g)
		time.Sleep(time.Minute)
		if g.post(func(time.Time) {}) {
			t.Error("an unused group goes on for ever")
		}
	})
}

// The delay of a new group goes on while members come, up to the rebalance
// timeout, so that a fleet that starts together shares one generation.
func TestInitialDelayGoesOnWhileMembersCome(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		var cs []*consumer
		var fs []func()
		for i := range 5 {
			c := n.consumer("")
			cs = append(cs, c)
			fs = append(fs, func() {
				time.Sleep(time.Duration(i) * 2 * time.Second)
				want(t, "join", c.join(), noError)
				want(t, "sync", c.sync(), noError)
			})
		}
		together(fs...)
		for i, c := range cs {
			if c.generation != 1 {
				t.Errorf("consumer %d: generation %d, want 1", i, c.generation)
			}
		}
	})
}
