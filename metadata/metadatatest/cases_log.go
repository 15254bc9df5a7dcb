package metadatatest

import (
	"errors"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// appendedEntry is an entry that a test appended, in order.
type appendedEntry struct {
	rev   metadata.Revision
	key   metadata.EntryKey
	bytes string
}

// appendEntries appends n entries over the brokers and lanes.
func appendEntries(t *testing.T, n int, bs ...*broker) []appendedEntry {
	t.Helper()
	var all []appendedEntry
	for i := range n {
		b := bs[i%len(bs)]
		r := b.nextRequest(metadata.Lane(i)%metadata.LaneCount, nil)
		res, err := b.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if res.GuardFailed || len(all) > 0 && res.Revision <= all[len(all)-1].rev {
			t.Fatalf("append %d: %+v after %+v", i, res, all[len(all)-1])
		}
		all = append(all, appendedEntry{res.Revision, r.Key, string(r.Bytes)})
	}
	return all
}

// requireEntries compares what was followed with what was appended.
func requireEntries(t *testing.T, got []metadata.CommittedEntry, want []appendedEntry) {
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

func checkFollowersSeeAll(t *testing.T, open Cluster) {
	a, b := openBroker(t, open, "a"), openBroker(t, open, "b")
	fa, fb := a.startFollower(), b.startFollower()
	all := appendEntries(t, 24, a, b)
	requireEntries(t, fa.waitUntil(all[23].rev), all)
	requireEntries(t, fb.waitUntil(all[23].rev), all)
	head, err := a.Barrier(t.Context())
	if err != nil || head != all[23].rev {
		t.Fatalf("barrier %d, %v; want %d", head, err, all[23].rev)
	}
}

func checkLateFollower(t *testing.T, open Cluster) {
	a := openBroker(t, open, "a")
	all := appendEntries(t, 40, a)
	f := a.startFollower()
	requireEntries(t, f.waitUntil(all[39].rev), all)
	all = append(all, appendEntries(t, 5, a)...)
	requireEntries(t, f.waitUntil(all[44].rev), all)
}

func checkRepeatedAppend(t *testing.T, open Cluster) {
	a := openBroker(t, open, "a")
	f := a.startFollower()
	r := a.nextRequest(metadata.LaneLow, nil)
	first, err1 := a.Append(t.Context(), r)
	second, err2 := a.Append(t.Context(), r)
	if err1 != nil || err2 != nil || first != second {
		t.Fatalf("%+v, %v; then %+v, %v", first, err1, second, err2)
	}
	if all := f.waitUntil(first.Revision); len(all) != 1 {
		t.Fatalf("%d entries", len(all))
	}
}

func checkRoleGuard(t *testing.T, open Cluster) {
	a, b := openBroker(t, open, "a"), openBroker(t, open, "b")
	f := b.startFollower()
	d := a.takeRole("slot")
	held := &metadata.Guard{Role: d.Name, RoleEpoch: d.Epoch}
	if res := a.appendEntry(metadata.LaneControl, held); res.GuardFailed {
		t.Fatal("the guard failed though the role is held")
	}
	if err := a.ReleaseRole(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	res := a.appendEntry(metadata.LaneControl, held)
	if !res.GuardFailed {
		t.Fatal("the guard held though the role is released")
	}
	last := a.appendEntry(metadata.LaneControl, nil)
	all := f.waitUntil(last.Revision)
	if len(all) != 3 || len(all[0].Bytes) == 0 || len(all[1].Bytes) != 0 || len(all[2].Bytes) == 0 {
		t.Fatalf("followed %+v; want an entry, an empty one, and an entry", all)
	}
	if all[1].Revision != res.Revision || all[1].Seq != 2 {
		t.Fatalf("the empty entry is %+v, its append returned %+v", all[1], res)
	}
}

func checkSessionGoneGuard(t *testing.T, open Cluster) {
	a, b := openBroker(t, open, "a"), openBroker(t, open, "b")
	gone := &metadata.Guard{SessionGone: b.session.ID()}
	if res := a.appendEntry(metadata.LaneControl, gone); !res.GuardFailed {
		t.Fatal("the guard held though the session is open")
	}
	if err := b.session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := a.appendEntry(metadata.LaneControl, gone); res.GuardFailed {
		t.Fatal("the guard failed though the session is gone")
	}
}

func checkLiveSessionsGuard(t *testing.T, open Cluster) {
	a := openBroker(t, open, "a")
	only := &metadata.Guard{LiveSessions: []metadata.SessionID{a.session.ID()}}
	if res := a.appendEntry(metadata.LaneControl, only); res.GuardFailed {
		t.Fatal("the guard failed though exactly this session is open")
	}
	b := openBroker(t, open, "b")
	if res := a.appendEntry(metadata.LaneControl, only); !res.GuardFailed {
		t.Fatal("the guard held though another session is open")
	}
	both := &metadata.Guard{LiveSessions: []metadata.SessionID{a.session.ID(), b.session.ID()}}
	if res := a.appendEntry(metadata.LaneControl, both); res.GuardFailed {
		t.Fatal("the guard failed though exactly these sessions live")
	}
	if err := b.session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := a.appendEntry(metadata.LaneControl, both); !res.GuardFailed {
		t.Fatal("the guard held though one of the sessions is gone")
	}
}

// A broker's next run ends what is left of the one before it, which crashed.
func checkEndedSession(t *testing.T, open Cluster) {
	a, b := openBroker(t, open, "a"), openBroker(t, open, "b")
	earlier := a.takeRole("slot")
	for range 2 { // the second time there is nothing
		if err := b.EndSession(t.Context(), a.session.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if later := b.takeRole("slot"); later.Epoch <= earlier.Epoch {
		t.Errorf("epoch %d after %d", later.Epoch, earlier.Epoch)
	}
	if _, err := a.Append(t.Context(), a.nextRequest(metadata.LaneLow, nil)); !errors.Is(err, metadata.ErrSessionLost) {
		t.Errorf("append: %v", err)
	}
	live, _, err := b.Sessions(t.Context())
	if err != nil || len(live) != 1 || live[0].ID != b.session.ID() {
		t.Errorf("sessions %+v, %v", live, err)
	}
}

func checkLostSession(t *testing.T, open Cluster) {
	a, b := openBroker(t, open, "a"), openBroker(t, open, "b")
	f := b.startFollower()
	d := a.takeRole("archive")
	if err := a.session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-a.session.Done()
	if _, err := a.Append(t.Context(), a.nextRequest(metadata.LaneLow, nil)); !errors.Is(err, metadata.ErrSessionLost) {
		t.Errorf("append: %v", err)
	}
	if _, ok, err := a.TryRole(t.Context(), a.session.ID(), "other"); ok || !errors.Is(err, metadata.ErrSessionLost) {
		t.Errorf("take role: %v, %v", ok, err)
	}
	if err := a.session.Publish(t.Context(), metadata.SessionStatus{}); !errors.Is(err, metadata.ErrSessionLost) {
		t.Errorf("publish: %v", err)
	}
	if _, err := a.CloseExtent(t.Context(), d, 1); !errors.Is(err, metadata.ErrRoleLost) {
		t.Errorf("close extent: %v", err)
	}
	if all := f.waitUntil(b.appendEntry(metadata.LaneLow, nil).Revision); len(all) != 1 {
		t.Errorf("%d entries, one was appended", len(all))
	}
}
