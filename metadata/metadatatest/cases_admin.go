package metadatatest

import (
	"errors"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

func checkRoles(t *testing.T, open Cluster) {
	a, b := openBroker(t, open, "a"), openBroker(t, open, "b")
	d := a.takeRole("archive")
	if again := a.takeRole("archive"); again != d {
		t.Fatalf("the holder's role is %+v, then %+v", d, again)
	}
	if _, ok, err := b.TryRole(t.Context(), b.session.ID(), "archive"); ok || err != nil {
		t.Fatalf("a second holder: %v, %v", ok, err)
	}
	released := a.takeRole("released")
	if err := a.ReleaseRole(t.Context(), released); err != nil {
		t.Fatal(err)
	}
	b.takeRole("released")
	if _, err := a.CloseExtent(t.Context(), released, 1); !errors.Is(err, metadata.ErrRoleLost) {
		t.Errorf("close an extent with a role that was released: %v", err)
	}
	if err := a.session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := b.takeRole("archive")
	if e.Epoch <= d.Epoch {
		t.Fatalf("epoch %d after %d", e.Epoch, d.Epoch)
	}
	if _, err := a.CloseExtent(t.Context(), d, 1); !errors.Is(err, metadata.ErrRoleLost) {
		t.Errorf("close an extent without the role: %v", err)
	}
	if _, err := b.CloseExtent(t.Context(), e, 1); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteArchived(t.Context(), d, 1, "archive/1"); !errors.Is(err, metadata.ErrRoleLost) {
		t.Errorf("truncate without the role: %v", err)
	}
	if err := a.SetCheckpoint(t.Context(), d, metadata.CheckpointPointer{Revision: 1, Object: "x"}); !errors.Is(err, metadata.ErrRoleLost) {
		t.Errorf("set checkpoint without the role: %v", err)
	}
	if _, err := a.CompactStore(t.Context(), d, 0); !errors.Is(err, metadata.ErrRoleLost) {
		t.Errorf("compact without the role: %v", err)
	}
}

func checkExtents(t *testing.T, open Cluster) {
	a, b := openBroker(t, open, "a"), openBroker(t, open, "b")
	d := a.takeRole("archive")
	f := b.startFollower()
	first := appendEntries(t, 12, a, b)
	at, err := a.CloseExtent(t.Context(), d, 1)
	if err != nil || at <= first[11].rev {
		t.Fatalf("closed at %d, %v", at, err)
	}
	second := appendEntries(t, 7, b, a)
	if at >= second[0].rev {
		t.Fatalf("closed at %d, and %d came after", at, second[0].rev)
	}
	if again, err := a.CloseExtent(t.Context(), d, 1); again != 0 || err != nil {
		t.Fatalf("closed again at %d, %v", again, err)
	}
	requireEntries(t, f.waitUntil(second[6].rev), append(append([]appendedEntry(nil), first...), second...))
	var got []metadata.CommittedEntry
	if err := a.ReadExtent(t.Context(), 1, func(c metadata.CommittedEntry) error {
		if c.Extent != 1 {
			t.Errorf("extent %d", c.Extent)
		}
		got = append(got, c)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	requireEntries(t, got, first)
	if err := a.ReadExtent(t.Context(), 2, func(metadata.CommittedEntry) error { return nil }); err == nil {
		t.Error("an open extent was read")
	}
	st, err := b.Start(t.Context())
	if err != nil || st.Extent != 2 || st.ArchivedUpTo != 0 || st.ArchivedObject != "" {
		t.Errorf("start %+v, %v", st, err)
	}
}

func checkTruncation(t *testing.T, open Cluster) {
	a := openBroker(t, open, "a")
	d := a.takeRole("archive")
	appendEntries(t, 450, a)
	if err := a.DeleteArchived(t.Context(), d, 1, "archive/1"); err == nil {
		t.Fatal("an open extent was truncated")
	}
	if _, err := a.CloseExtent(t.Context(), d, 1); err != nil {
		t.Fatal(err)
	}
	rest := appendEntries(t, 10, a)
	if err := a.DeleteArchived(t.Context(), d, 1, ""); err == nil {
		t.Fatal("an extent was truncated without its archive")
	}
	for range 2 { // the second time nothing is left to do
		if err := a.DeleteArchived(t.Context(), d, 1, "archive/1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.DeleteArchived(t.Context(), d, 1, "archive/other"); err == nil {
		t.Error("an extent has a second archive")
	}
	st, err := a.Start(t.Context())
	if err != nil || st.ArchivedUpTo != 1 || st.ArchivedObject != "archive/1" || st.Extent != 2 || st.Head != rest[9].rev {
		t.Fatalf("start %+v, %v", st, err)
	}
	requireEntries(t, a.startFollower().waitUntil(rest[9].rev), rest)
	// The next one follows, and the older one is a no-op afterwards.
	if _, err := a.CloseExtent(t.Context(), d, 2); err != nil {
		t.Fatal(err)
	}
	last := appendEntries(t, 3, a)
	for g, object := range map[metadata.Extent]string{2: "archive/2", 1: "archive/1"} {
		if err := a.DeleteArchived(t.Context(), d, g, object); err != nil {
			t.Fatal(err)
		}
	}
	if st, err = a.Start(t.Context()); err != nil || st.ArchivedUpTo != 2 || st.ArchivedObject != "archive/2" {
		t.Fatalf("start %+v, %v", st, err)
	}
	requireEntries(t, a.startFollower().waitUntil(last[2].rev), last)
}

func checkCheckpoints(t *testing.T, open Cluster) {
	a := openBroker(t, open, "a")
	d := a.takeRole("checkpoint")
	for _, p := range []metadata.CheckpointPointer{
		{Revision: 10, Extent: 1, Object: "c/10", Hash: 1<<63 + 7}, {Revision: 20, Extent: 2, Object: "c/20"}, {Revision: 15, Extent: 1, Object: "c/15"},
	} {
		if err := a.SetCheckpoint(t.Context(), d, p); err != nil {
			t.Fatal(err)
		}
		st, err := a.Start(t.Context())
		if err != nil || st.Checkpoint == nil {
			t.Fatalf("start %+v, %v", st, err)
		}
		want := p
		if p.Revision == 15 {
			want = metadata.CheckpointPointer{Revision: 20, Extent: 2, Object: "c/20"}
		}
		if *st.Checkpoint != want {
			t.Errorf("checkpoint %+v, want %+v", *st.Checkpoint, want)
		}
	}
}

func checkPublish(t *testing.T, open Cluster) {
	a, b := openBroker(t, open, "a"), openBroker(t, open, "b")
	status := metadata.SessionStatus{Broker: 7, Clock: 1234, Applied: 99, HashRevision: 96, Hash: 1<<63 + 5}
	if err := a.session.Publish(t.Context(), status); err != nil {
		t.Fatal(err)
	}
	live, rev, err := b.Sessions(t.Context())
	if err != nil || len(live) != 2 || rev < metadata.Revision(b.session.ID()) {
		t.Fatalf("%+v at %d, %v", live, rev, err)
	}
	if live[0].ID != a.session.ID() || live[0].Status != status || live[0].Info.Peer != "a:1" || live[1].ID != b.session.ID() {
		t.Errorf("sessions %+v", live)
	}
	if res := a.appendEntry(metadata.LaneLow, nil); res.GuardFailed {
		t.Error("append after publish")
	}
}

func checkCompaction(t *testing.T, open Cluster) {
	a := openBroker(t, open, "a")
	d := a.takeRole("archive")
	f := a.startFollower()
	all := appendEntries(t, 20, a)
	f.waitUntil(all[19].rev)
	h, err := a.CompactStore(t.Context(), d, all[19].rev)
	if err != nil || h.SizeBytes < 0 || h.Members < 1 {
		t.Fatalf("compact: %+v, %v", h, err)
	}
	requireEntries(t, a.startFollower().waitUntil(all[19].rev), all)
	more := appendEntries(t, 3, a)
	requireEntries(t, f.waitUntil(more[2].rev), append(all, more...))
}
