package groups

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A static member that restarts takes its assignment up again, nobody
// rebalances; a leader is told to skip assigning (KIP-345, KIP-814).
func TestStaticRestartNeedsNoRebalance(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b := n.consumer("i-a"), n.consumer("i-b")
		w.gather(a, b)
		leader, follower := a, b
		if b.leader {
			leader, follower = b, a
		}
		for _, old := range []*consumer{leader, follower} {
			again := n.consumer(*old.instance)
			want(t, "join again", again.join(), noError)
			if again.generation != 1 || again.id == old.id {
				t.Errorf("generation %d id %s, want 1 and a new id", again.generation, again.id)
			}
			if again.leader != old.leader || again.joined.SkipAssignment != old.leader {
				t.Errorf("leader %v, skip %v, want both %v", again.leader, again.joined.SkipAssignment, old.leader)
			}
			want(t, "sync again", again.sync(), noError)
			if got := string(again.synced.MemberAssignment); got != "for "+old.id {
				t.Errorf("assignment %q, want the old one", got)
			}
			want(t, "heartbeat of the old life", old.heartbeat(), kerr.FencedInstanceID.Code)
			want(t, "heartbeat of the new life", again.heartbeat(), noError)
			want(t, "commit of the old life", old.commit(1), kerr.FencedInstanceID.Code)
		}
	})
}

// An older client that leads and comes back reads another's id as leader, so
// that it does not assign (before version 9).
func TestStaticLeaderBeforeSkipAssignmentFollows(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("i")
		w.gather(a)
		again := n.consumer("i")
		again.version = 8
		want(t, "join again", again.join(), noError)
		if again.leader || len(again.joined.Members) != 0 || again.joined.SkipAssignment {
			t.Errorf("joined %+v, want a follower's answer", again.joined)
		}
		want(t, "sync", again.sync(), noError)
	})
}

// A static member that misses a rebalance keeps its place, and a part of the
// assignment, until its session ends.
func TestAbsentStaticMemberKeepsItsPlaceForItsSession(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, s := n.consumer(""), n.consumer("i")
		s.session = 10 * time.Minute
		w.gather(a, s)
		b := n.consumer("")
		b.session = 30 * time.Minute
		a.session = 30 * time.Minute
		got := make(chan int16, 1)
		go func() { got <- b.join() }()
		time.Sleep(time.Second)
		want(t, "a joins after the rebalance timeout", a.join(), noError)
		want(t, "b joins", <-got, noError)
		together(func() { a.sync() }, func() { b.sync() })
		time.Sleep(3 * time.Minute) // past the sync deadline
		if d := n.describe("g"); d.State != "Stable" || len(d.Members) != 3 {
			t.Fatalf("%s with %d members, want the absent one kept", d.State, len(d.Members))
		}
		again := n.consumer("i")
		again.session = 10 * time.Minute
		want(t, "return", again.join(), noError)
		want(t, "sync", again.sync(), noError)
		if again.generation != a.generation || string(again.synced.MemberAssignment) != "for "+s.id {
			t.Errorf("generation %d, %q", again.generation, again.synced.MemberAssignment)
		}
		time.Sleep(10*time.Minute + 30*time.Second)
		if d := n.describe("g"); d.State != "PreparingRebalance" || len(d.Members) != 2 {
			t.Errorf("%s with %d members after its session", d.State, len(d.Members))
		}
	})
}
