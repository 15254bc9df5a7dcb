package metadatatest

import (
	"errors"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// wrote is what a test knows it appended, in order.
type wrote struct {
	rev   metadata.Revision
	key   metadata.EntryKey
	bytes string
}

// some appends n entries over the brokers and lanes.
func some(t *testing.T, n int, bs ...*broker) []wrote {
	t.Helper()
	var all []wrote
	for i := range n {
		b := bs[i%len(bs)]
		r := b.next(metadata.Lane(i)%metadata.LaneCount, nil)
		res, err := b.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if res.GuardFailed || len(all) > 0 && res.Revision <= all[len(all)-1].rev {
			t.Fatalf("append %d: %+v after %+v", i, res, all[len(all)-1])
		}
		all = append(all, wrote{res.Revision, r.Key, string(r.Bytes)})
	}
	return all
}

// same compares what was followed with what was appended.
func same(t *testing.T, got []metadata.Committed, want []wrote) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, c := range got {
		if c.Revision != want[i].rev || c.Key() != want[i].key || string(c.Bytes) != want[i].bytes {
			t.Fatalf("entry %d is %+v, want %+v", i, c, want[i])
		}
	}
}

func followersSee(t *testing.T, open Cluster) {
	a, b := join(t, open, "a"), join(t, open, "b")
	fa, fb := a.follow(), b.follow()
	all := some(t, 24, a, b)
	same(t, fa.until(all[23].rev), all)
	same(t, fb.until(all[23].rev), all)
	head, err := a.Barrier(t.Context())
	if err != nil || head != all[23].rev {
		t.Fatalf("barrier %d, %v; want %d", head, err, all[23].rev)
	}
}

func lateFollower(t *testing.T, open Cluster) {
	a := join(t, open, "a")
	all := some(t, 40, a)
	f := a.follow()
	same(t, f.until(all[39].rev), all)
	all = append(all, some(t, 5, a)...)
	same(t, f.until(all[44].rev), all)
}

func sameAgain(t *testing.T, open Cluster) {
	a := join(t, open, "a")
	f := a.follow()
	r := a.next(metadata.LaneLow, nil)
	first, err1 := a.Append(t.Context(), r)
	second, err2 := a.Append(t.Context(), r)
	if err1 != nil || err2 != nil || first != second {
		t.Fatalf("%+v, %v; then %+v, %v", first, err1, second, err2)
	}
	if all := f.until(first.Revision); len(all) != 1 {
		t.Fatalf("%d entries", len(all))
	}
}

func dutyGuard(t *testing.T, open Cluster) {
	a, b := join(t, open, "a"), join(t, open, "b")
	f := b.follow()
	d := a.duty("slot")
	held := &metadata.Guard{Role: d.Name, RoleEpoch: d.Epoch}
	if res := a.append(metadata.LaneControl, held); res.GuardFailed {
		t.Fatal("the guard failed though the duty is held")
	}
	if err := a.ReleaseRole(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	res := a.append(metadata.LaneControl, held)
	if !res.GuardFailed {
		t.Fatal("the guard held though the duty is released")
	}
	last := a.append(metadata.LaneControl, nil)
	all := f.until(last.Revision)
	if len(all) != 3 || len(all[0].Bytes) == 0 || len(all[1].Bytes) != 0 || len(all[2].Bytes) == 0 {
		t.Fatalf("followed %+v; want an entry, an empty one, and an entry", all)
	}
	if all[1].Revision != res.Revision || all[1].Seq != 2 {
		t.Fatalf("the empty entry is %+v, its append said %+v", all[1], res)
	}
}

func goneGuard(t *testing.T, open Cluster) {
	a, b := join(t, open, "a"), join(t, open, "b")
	gone := &metadata.Guard{SessionGone: b.session.ID()}
	if res := a.append(metadata.LaneControl, gone); !res.GuardFailed {
		t.Fatal("the guard held though the session lives")
	}
	if err := b.session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := a.append(metadata.LaneControl, gone); res.GuardFailed {
		t.Fatal("the guard failed though the session is gone")
	}
}

func liveGuard(t *testing.T, open Cluster) {
	a := join(t, open, "a")
	only := &metadata.Guard{LiveSessions: []metadata.SessionID{a.session.ID()}}
	if res := a.append(metadata.LaneControl, only); res.GuardFailed {
		t.Fatal("the guard failed though exactly this session lives")
	}
	b := join(t, open, "b")
	if res := a.append(metadata.LaneControl, only); !res.GuardFailed {
		t.Fatal("the guard held though another session lives")
	}
	both := &metadata.Guard{LiveSessions: []metadata.SessionID{a.session.ID(), b.session.ID()}}
	if res := a.append(metadata.LaneControl, both); res.GuardFailed {
		t.Fatal("the guard failed though exactly these sessions live")
	}
	if err := b.session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := a.append(metadata.LaneControl, both); !res.GuardFailed {
		t.Fatal("the guard held though one of the sessions is gone")
	}
}

// A broker's next life takes away what the one before it, which crashed, holds.
func endSession(t *testing.T, open Cluster) {
	a, b := join(t, open, "a"), join(t, open, "b")
	earlier := a.duty("slot")
	for range 2 { // the second finds nothing
		if err := b.EndSession(t.Context(), a.session.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if later := b.duty("slot"); later.Epoch <= earlier.Epoch {
		t.Errorf("epoch %d after %d", later.Epoch, earlier.Epoch)
	}
	if _, err := a.Append(t.Context(), a.next(metadata.LaneLow, nil)); !errors.Is(err, metadata.ErrSessionLost) {
		t.Errorf("append: %v", err)
	}
	live, _, err := b.Sessions(t.Context())
	if err != nil || len(live) != 1 || live[0].ID != b.session.ID() {
		t.Errorf("sessions %+v, %v", live, err)
	}
}

func lostSession(t *testing.T, open Cluster) {
	a, b := join(t, open, "a"), join(t, open, "b")
	f := b.follow()
	d := a.duty("archive")
	if err := a.session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-a.session.Done()
	if _, err := a.Append(t.Context(), a.next(metadata.LaneLow, nil)); !errors.Is(err, metadata.ErrSessionLost) {
		t.Errorf("append: %v", err)
	}
	if _, ok, err := a.TryRole(t.Context(), a.session.ID(), "other"); ok || !errors.Is(err, metadata.ErrSessionLost) {
		t.Errorf("take duty: %v, %v", ok, err)
	}
	if err := a.session.Publish(t.Context(), metadata.SessionStatus{}); !errors.Is(err, metadata.ErrSessionLost) {
		t.Errorf("publish: %v", err)
	}
	if _, err := a.CloseExtent(t.Context(), d, 1); !errors.Is(err, metadata.ErrRoleLost) {
		t.Errorf("close generation: %v", err)
	}
	if all := f.until(b.append(metadata.LaneLow, nil).Revision); len(all) != 1 {
		t.Errorf("%d entries, one was appended", len(all))
	}
}
