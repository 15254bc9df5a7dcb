package etcdlog_test

import (
	"testing"
	"testing/synctest"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// An append's revision is where every follower sees the entry, in one order.
func TestEveryFollowerSeesEntriesAtTheRevisionOfTheirAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 1, TailOneIn: 20, LoseReply: 50, FailBefore: 50, LandLate: 50, CancelWatch: 20})
		a, b := join(t, store, "a"), join(t, store, "b")
		ra, rb := a.follow(t), b.follow(t)
		want := map[metadata.Revision]metadata.EntryKey{}
		var last metadata.Revision
		for i := range 60 {
			n := []*node{a, b}[i%2]
			lane := metadata.Lane(i) % metadata.LaneCount
			res := n.append(t, lane)
			if res.Revision <= last {
				t.Fatalf("revision %d after %d", res.Revision, last)
			}
			last = res.Revision
			want[res.Revision] = metadata.EntryKey{Session: n.session.ID(), Lane: lane, Seq: n.seq[lane]}
		}
		for _, r := range []*replica{ra, rb} {
			if err := r.wait(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			got := r.list()
			r.stop()
			if r.lists != 1 {
				t.Errorf("%d reads from the top; a watch that was cancelled goes on where it was", r.lists)
			}
			if len(got) != len(want) {
				t.Fatalf("%d entries followed, %d appended", len(got), len(want))
			}
			for _, c := range got {
				if want[c.Revision] != c.Key() {
					t.Fatalf("at revision %d is %v, want %v", c.Revision, c.Key(), want[c.Revision])
				}
			}
		}
		st := store.Stats()
		if st.WatchesCancelled == 0 || st.LostReplies == 0 || st.FailedBefore == 0 || st.LandedLate == 0 {
			t.Errorf("faults were not met: %+v", st)
		}
	})
}
