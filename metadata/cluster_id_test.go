package metadata

import "testing"

// The first session that offers an id sets the cluster's id for good: later
// offers are ignored, and a checkpoint restores it.
func TestTheFirstSessionNamesTheCluster(t *testing.T) {
	w := newWorld(1)
	open := func(offer ClusterID) {
		t.Helper()
		w.rev++
		id := SessionID(w.rev)
		w.lanes[id] = new([LaneCount]LaneSeq)
		_, out := w.commit(t, &Entry{Session: id, Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1, Cluster: offer}}})
		if out.Commands[0].Code != CodeOK {
			t.Fatalf("%+v", out)
		}
	}
	open(ClusterID{}) // as in a recovery, which offers none
	if id := w.state.ClusterID(); !id.IsZero() {
		t.Fatalf("id %s, though nobody offered one", id)
	}
	first := ClusterID{0xfb, 0xff, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	open(first)
	open(ClusterID{9})
	if id := w.state.ClusterID(); id != first || id.String() != "-_8CAwQFBgcICQoLDA0ODw" {
		t.Fatalf("id %s, want %s", id, first)
	}
	if w.state.snapshot().Hash() != w.state.Hash() {
		t.Fatal("a snapshot has another hash")
	}
	other := w.state.snapshot()
	other.cluster = ClusterID{9}
	if other.Hash() == w.state.Hash() {
		t.Error("the hash does not tell ids apart")
	}
}
