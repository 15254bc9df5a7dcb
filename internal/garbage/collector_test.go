package garbage

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

func inBubble(t *testing.T, f func(r *rig)) { inIncarnation(t, 1, f) }

func inIncarnation(t *testing.T, i metadata.Incarnation, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, i)
		defer r.end()
		f(r)
	})
}

// An object is deleted when its death is older than the grace in state time and by
// the clock of the collector, and older than the older of two recovery bases.
func TestDeadObjectsAreDeletedAfterTheGrace(t *testing.T) {
	inBubble(t, func(r *rig) {
		keys := r.bury(1, 3)
		r.addBases()
		later := r.bury(4, 1) // died after the bases
		c := r.newCollector()
		r.run(c, int(grace/interval), interval)
		r.expect("objects before the grace", len(r.left(keys...)), 3)
		r.run(c, 3, interval)
		r.expect("objects after the grace", r.left(append(keys, later...)...), later)
		r.expect("dead objects in the state", r.dead(), 1)
		r.addBases()
		r.run(c, 1, interval)
		r.expect("objects after further bases", r.left(later...), []string{})
		got := r.stats.Totals()
		r.expect("deleted", got.Deleted, 4)
		r.expect("bytes", got.DeletedBytes, 40)
		r.expect("failed", got.Failed, 0)
	})
}

// State time alone does not end the grace: it jumps when a cluster was down.
func TestTheGraceCountsByTheMonotonicClock(t *testing.T) {
	inBubble(t, func(r *rig) {
		keys := r.bury(1, 1)
		r.addBases()
		c := r.newCollector()
		r.run(c, 1, 0)
		for range 20 { // state time, not this broker's
			r.time += metadata.UnixMilli(time.Minute.Milliseconds())
			r.do(metadata.Tick{To: r.time})
		}
		r.run(c, 30, interval)
		r.expect("objects five minutes after the death", r.left(keys...), keys)
		r.run(c, 31, interval)
		r.expect("objects after the grace", len(r.left(keys...)), 0)
	})
}

// The monotonic clock alone does not end the grace either.
func TestTheGraceCountsInStateTime(t *testing.T) {
	inBubble(t, func(r *rig) {
		keys := r.bury(1, 1)
		r.addBases()
		c := r.newCollector()
		r.run(c, 1, 0)
		time.Sleep(2 * grace)
		r.run(c, 2, 0)
		r.expect("objects while state time stands", r.left(keys...), keys)
		r.tick(grace)
		r.run(c, 1, 0)
		r.expect("objects after the grace", len(r.left(keys...)), 0)
	})
}

// A new holder of the role has not seen when the deaths were applied elsewhere, and
// one that lost the role and has it again does not know what it missed.
func TestANewHolderStartsAtZero(t *testing.T) {
	inBubble(t, func(r *rig) {
		keys := r.bury(1, 1)
		r.addBases()
		r.tick(2 * grace)
		first := r.newCollector()
		r.run(first, 30, interval)
		role, _, err := r.log.TryRole(r.t.Context(), r.session.ID(), Role)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := r.log.ReleaseRole(r.t.Context(), role); err != nil {
			r.t.Fatal(err)
		}
		r.run(first, 45, interval) // of a new epoch
		r.expect("objects ten minutes after the first pass", r.left(keys...), keys)
		r.run(first, 17, interval)
		r.expect("objects after the grace", len(r.left(keys...)), 0)
	})
}

// Nothing is deleted in doubt, and the reason is told.
func TestNothingIsDeletedInDoubt(t *testing.T) {
	inBubble(t, func(r *rig) {
		keys := r.bury(1, 1)
		c := r.newCollector()
		r.run(c, 70, interval)
		r.expect("reason", r.stats.Totals().Held, HeldBase)
		r.addBases()
		for range maxUnarchived + 1 {
			r.closeExtent()
		}
		r.run(c, 70, interval)
		r.expect("reason", r.stats.Totals().Held, HeldArchive)
		r.expect("objects", r.left(keys...), keys)
		for range maxUnarchived + 1 {
			r.archive()
		}
		r.run(c, 1, interval)
		r.expect("reason", r.stats.Totals().Held, HeldNot)
		r.expect("objects", len(r.left(keys...)), 0)
		r.expect("passes held", r.stats.Totals().HeldPasses, 140)
	})
}

// A broker that does not know all that was committed deletes nothing.
func TestABrokerThatIsBehindDeletesNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		keys := r.bury(1, 1)
		r.addBases()
		c := r.newCollector()
		r.run(c, 1, 0)
		r.tick(2 * grace)
		role, _, err := r.log.TryRole(r.t.Context(), r.session.ID(), Role)
		if err != nil {
			r.t.Fatal(err)
		}
		r.stop() // the log goes on without this replica
		r.wg.Wait()
		r.appendUnseen()
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		defer cancel()
		if err := c.Run(ctx, role); err == nil {
			t.Error("a pass without a barrier succeeded")
		}
		r.expect("reason", r.stats.Totals().Held, HeldBehind)
		r.expect("objects", r.left(keys...), keys)
	})
}

// What the bucket does not confirm stays in the state, and is tried again, more and
// more rarely; the others are confirmed.
func TestUnconfirmedDeletionsAreRetriedRarely(t *testing.T) {
	inBubble(t, func(r *rig) {
		keys := r.bury(1, 10)
		r.addBases()
		bad := keys[3]
		r.bucket.fail = func(name string) bool { return name == bad }
		c := r.newCollector()
		r.run(c, 1, 0)
		r.tick(grace)
		r.run(c, 1, 0)
		r.expect("objects", r.left(keys...), []string{bad})
		r.expect("dead objects in the state", r.dead(), 1)
		r.expect("failed", r.stats.Totals().Failed, 1)
		r.run(c, 60, interval) // ten minutes: after 30 s, 1, 2 and 4 minutes
		r.expect("attempts in ten minutes", r.bucket.attempts[bad], 5)
		r.run(c, 6*60, interval)
		if n := r.bucket.attempts[bad]; n < 9 || n > 12 {
			t.Errorf("%d attempts after six hours more, want one in ten minutes", n)
		}
		r.bucket.fail = nil
		r.run(c, 70, interval)
		r.expect("objects", len(r.left(bad)), 0)
		r.expect("dead objects in the state", r.dead(), 0)
		for _, key := range slices.DeleteFunc(keys, func(k string) bool { return k == bad }) {
			r.expect("attempts of "+key, r.bucket.attempts[key], 1)
		}
	})
}

// A pass deletes many batches, and the next pass goes on.
func TestAPassIsBounded(t *testing.T) {
	inBubble(t, func(r *rig) {
		const n = passBatches*batchObjects + 500
		for i := uint64(0); i < n; i += 500 {
			r.bury(1+i, 500)
		}
		r.addBases()
		full := -1
		c := r.newCollector()
		c.cfg.SetFullness = func(percent int) { full = percent }
		r.run(c, 1, 0)
		r.tick(grace)
		r.run(c, 1, 0)
		r.expect("dead objects after a pass", r.dead(), 500)
		r.expect("fullness", full, 100)
		r.run(c, 1, 0)
		r.expect("dead objects after two", r.dead(), 0)
		r.expect("fullness", full, 5)
	})
}
