package metadata

import (
	"fmt"
	"maps"
	"reflect"
	"testing"
)

// storageEntry uses every command of storage.
func storageEntry() *Entry {
	t := TopicID{1, 2, 3}
	left := []Leftover{{ObjectWAL, "1/wal/0000000000001234/low-000000000007-0", 100}, {ObjectCheckpoint, "1/checkpoint/x", 5}}
	return &Entry{Level: 1, Session: 0x1234, Seq: 9, Time: 1_700_000_000_000, Commands: []Command{
		ReleaseQueued{1000}, EnforceRetention{[]TopicPartition{{t, 1}, {t, 2}}},
		RecordCheckpoint{7, 3, 99, []CheckpointObject{{"1/checkpoint/7", 1000}, {"1/checkpoint/6", 50}}}, RecordBase{7},
		BuryLeftovers{0x1233, 1, left, "1/wal/x", true}, AbandonObjects{left[1:]}, ConfirmDeleted{[]GarbageID{3, 5, 900}},
		MoveInline{3, 9, "1/inline/x", 77},
	}}
}

func TestStorageEntryComesBackAsItWent(t *testing.T) {
	b, err := AppendEntry(nil, storageEntry())
	if err != nil {
		t.Fatal(err)
	}
	var got Entry
	if err := DecodeEntry(b, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Commands, storageEntry().Commands) {
		t.Fatalf("got  %+v", got.Commands)
	}
	golden(t, "entry_storage.v1", b)
}

// storageStep is what the roles that keep the bucket do.
func (w *world) storageStep(t testing.TB, n int, session SessionID, topic TopicID) CommittedEntry {
	var c Command = RecordStateHash{}
	switch {
	case n < 38:
		c = ReleaseQueued{1 + w.rng.IntN(30)}
	case n < 41:
		e := EnforceRetention{}
		for p := range Partition(8) {
			e.Partitions = append(e.Partitions, TopicPartition{topic, p})
		}
		c = e
	case n < 44:
		if p := w.state.PendingArchives(); len(p) > 0 && p[0].Closed {
			c = AcceptArchive{p[0].Extent, ArchiveKey(1, p[0].Extent, session, 1), p[0].First, p[0].Last, p[0].Entries, 1 << 20, p[0].Digest}
		} else {
			w.gen++
		}
	case n < 46:
		r := RecordCheckpoint{Revision: w.state.revision, Extent: w.state.extent, Hash: 1, Objects: []CheckpointObject{{CheckpointKey(1, w.state.revision, session), 77}}}
		if old := w.state.Checkpoints(); len(old) > 0 {
			r.Objects = append(r.Objects, old[w.rng.IntN(len(old))].Objects...)
		}
		c = r
	case n < 47:
		if old := w.state.Checkpoints(); len(old) > 0 {
			c = RecordBase{old[w.rng.IntN(len(old))].Revision}
		}
	case n < 49:
		d := ConfirmDeleted{}
		for _, g := range w.state.Garbage(nil, 0, w.state.revision, w.state.time, 20) {
			if w.rng.IntN(3) > 0 {
				d.IDs = append(d.IDs, g.ID)
			}
		}
		c = d
	case n < 50:
		closed := w.sessions[w.rng.IntN(len(w.sessions))]
		for _, s := range w.sessions {
			if s != closed {
				session = s
			}
		}
		list := []SessionID{}
		for _, s := range w.sessions {
			if s != closed {
				list = append(list, s)
			}
		}
		w.sessions = list
		c = CloseSession{closed}
	case n < 51:
		if l, due := w.state.LeftoversDue(0); due {
			key := ObjectName{l.Session, LaneLow, 1 << 40, 0}.Key()
			c = BuryLeftovers{l.Session, l.Incarnation, []Leftover{{ObjectWAL, key, 9}}, key, w.rng.IntN(2) == 0}
		}
	case n < 52 && w.rng.IntN(2) == 0:
		if m := w.state.planInlineMove(0); len(m) > 0 {
			first, last := m[0].Extent, m[len(m)-1].Extent
			c = MoveInline{first, last, InlineKey(1, first, session, 1), 500}
		}
	default:
		c = AbandonObjects{[]Leftover{{ObjectArchive, ArchiveKey(1, 999, session, int(w.rev)), 5}}}
	}
	out, _ := w.commit(t, &Entry{Session: session, Commands: []Command{c}})
	return out
}

// derivedStorage is what the state derives from its rows and keeps up to date entry
// by entry.
type derivedStorage struct {
	Topics                                          map[TopicID]topicStorage
	Objects, Archives, Inline, Garbage, Checkpoints int64
	Storage                                         StorageTotals
	Deleted, Spans, Offsets, Live                   int
	Order                                           []archiveRevisions
	Due                                             map[TopicPartition]bool
}

func (s *State) derived() derivedStorage {
	d := derivedStorage{map[TopicID]topicStorage{}, s.objectBytes, s.archiveBytes, s.archivedInline, s.garbageBytes, s.checkpointBytes, s.StorageTotals(),
		s.deletedPartitions, s.spans, s.offsets, s.livePartitions(), s.archives.order, map[TopicPartition]bool{}}
	s.storage.rows.each(func(id TopicID, t *topicStorage) bool { d.Topics[id] = *t; return true })
	for n := range s.ExpiringTopics() {
		for _, tp := range s.ExpiredPartitions(nil, n, 0, 1000) {
			p := s.partitions.get(tp)
			if len(p.spans) > 0 && s.expired(s.Retention(s.topics.get(tp.Topic)), p, &p.spans[0]) {
				d.Due[tp] = true
			}
		}
	}
	return d
}

// What is kept up to date entry by entry is what a checkpoint's reader derives from
// the rows, whatever was trimmed, released, archived, buried and deleted; and every
// expired partition is found.
func TestStorageIsDerivedAsItWasKept(t *testing.T) {
	happened := map[string]bool{}
	for seed := range uint64(30) {
		w := newWorld(seed)
		w.storage = true
		w.bookInTurns()
		for step := range 400 {
			w.step(t)
			if step%20 > 0 {
				continue
			}
			var c Checkpointer
			store := newMemStore()
			if err := store.Put(t.Context(), "k", c.Encode(w.state.snapshot(), "k")); err != nil {
				t.Fatal(err)
			}
			again, err := LoadCheckpoint(t.Context(), store, "k")
			if err != nil {
				t.Fatal(err)
			}
			if got, want := w.state.derived(), again.derived(); !reflect.DeepEqual(got, want) && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d, step %d: kept\n%+v\nderived\n%+v", seed, step, got, want)
			}
			for tp := range w.expiredPartitions() {
				if !w.state.derived().Due[tp] {
					t.Fatalf("seed %d, step %d: %v has expired records and is not nominated", seed, step, tp)
				}
			}
			w.noteStorage(happened)
		}
	}
	if want := 8; len(happened) < want {
		t.Errorf("only %v happened", happened)
	}
}

// expiredPartitions looks at every partition.
func (w *world) expiredPartitions() map[TopicPartition]bool {
	out := map[TopicPartition]bool{}
	w.state.partitions.each(func(tp TopicPartition, p *partitionState) bool {
		topic := w.state.topics.get(tp.Topic)
		if topic != nil && !p.releasing && len(p.spans) > 0 && w.state.expired(w.state.Retention(topic), p, &p.spans[0]) {
			out[tp] = true
		}
		return true
	})
	return out
}

func (w *world) noteStorage(happened map[string]bool) {
	s := w.state
	maps.DeleteFunc(map[string]bool{"dead bytes": s.deadBytes > 0, "queued": s.QueuedReleases() > 0, "deleted topic": s.deletedPartitions > 0,
		"garbage": s.garbage.rows.count > 0, "deleted": int(s.garbage.next) > s.garbage.rows.count+1, "bases": s.DeletableUpTo() > 0, "moved": len(s.InlineObjects()) > 0,
		"archive buried": s.archives.newest() != nil && int(s.archives.newest().Extent) > len(s.archives.order)}, func(k string, v bool) bool {
		if v {
			happened[k] = true
		}
		return v
	})
}
