package groups

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// The coordinator dies; the next continues: same ids, generation, assignment.
func TestTakeOverNeedsNoRebalance(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		a, b := n.consumer(""), n.consumer("i-b")
		w.gather(a, b)
		want(t, "commit", a.commit(42), noError)
		w.log.ExpireSession(n.session.ID())
		n.stop()

		m := w.start(2)
		defer m.stop()
		a.n, b.n = m, m
		want(t, "before it holds the slot", a.heartbeat(), kerr.NotCoordinator.Code)
		m.coord.Prepare(metadata.GroupSlot("g"))
		want(t, "while it takes over", a.heartbeat(), noError)
		want(t, "sync while it takes over", a.sync(), kerr.CoordinatorNotAvailable.Code)
		m.hold("g")
		want(t, "heartbeat", a.heartbeat(), noError)
		want(t, "heartbeat", b.heartbeat(), noError)
		want(t, "sync again", a.sync(), noError)
		if string(a.synced.MemberAssignment) != "for "+a.id {
			t.Errorf("assignment %q", a.synced.MemberAssignment)
		}
		if o := m.offset("g", 0); o != 42 {
			t.Errorf("offset %d, want 42", o)
		}
		want(t, "commit", b.commit(43), noError)
		time.Sleep(9 * time.Second) // timers began anew
		want(t, "heartbeat", a.heartbeat(), noError)
		time.Sleep(2 * time.Second)
		want(t, "b is out", b.heartbeat(), kerr.UnknownMemberID.Code)
	})
}

// The coordinator dies while members wait for each other: they join again,
// and no generation number means two things.
func TestTakeOverInTheMiddleOfARebalance(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		a := n.consumer("")
		w.gather(a)
		b := n.consumer("")
		got := make(chan int16, 2)
		go func() { got <- b.join() }()
		time.Sleep(time.Second)
		want(t, "a joins", a.join(), noError)
		want(t, "b joins", <-got, noError)
		if a.generation != 2 {
			t.Fatalf("generation %d", a.generation)
		}
		go func() { got <- b.sync() }()
		time.Sleep(time.Second)
		w.log.ExpireSession(n.session.ID())
		n.coord.Release(metadata.GroupSlot("g"))
		want(t, "parked sync", <-got, kerr.NotCoordinator.Code)
		n.stop()

		m := w.start(2)
		defer m.stop()
		m.hold("g")
		a.n, b.n = m, m
		want(t, "sync of a generation that never was", a.sync(), kerr.IllegalGeneration.Code)
		want(t, "b was never stored", b.heartbeat(), kerr.UnknownMemberID.Code)
		b.id = ""
		go func() { got <- b.join() }()
		time.Sleep(time.Second)
		want(t, "a joins", a.join(), noError)
		want(t, "b joins", <-got, noError)
		if a.generation <= 2 {
			t.Errorf("generation %d was given out before", a.generation)
		}
		together(func() { a.sync() }, func() { b.sync() })
		want(t, "heartbeat", b.heartbeat(), noError)
	})
}

// A holder that was replaced and does not know is refused: by apply where it
// writes, by its own state where it only answers.
func TestStaleSlotEpochIsRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		w.gather(a)
		n.drop("g") // its key went, it thinks it holds the slot
		m := w.start(2)
		defer m.stop()
		// The claim lands while n's commit is on its way to the log.
		n.writer.fault = func([]metadata.Command) error {
			m.hold("g")
			n.writer.fault = nil
			return nil
		}
		want(t, "commit under the old epoch", a.commit(9), kerr.NotCoordinator.Code)
		if n.coord.Owns(metadata.GroupSlot("g")) {
			t.Error("the old holder still holds the slot")
		}
		want(t, "heartbeat at the old holder", a.heartbeat(), kerr.NotCoordinator.Code)
		if o := m.offset("g", 0); o != -1 {
			t.Errorf("offset %d was stored under a stale epoch", o)
		}
		a.n = m
		want(t, "heartbeat at the new holder", a.heartbeat(), noError)
	})
}

// An old holder that only answers heartbeats finds the new epoch in its state.
func TestStaleHolderStopsAnsweringOnceItHasSeenTheClaim(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		w.gather(a)
		n.drop("g")
		m := w.start(2)
		defer m.stop()
		m.hold("g")
		time.Sleep(10 * time.Millisecond)
		want(t, "heartbeat", a.heartbeat(), kerr.NotCoordinator.Code)
	})
}
