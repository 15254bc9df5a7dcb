package garbage

import (
	"fmt"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// endSession opens another session, which uploads n objects of which the first is
// used, and ends it. It returns the keys.
func (r *rig) endSession(n uint64) (used string, left []string) {
	r.t.Helper()
	mine, seq := r.session, r.seq
	r.session, r.seq = r.openSession("b"), 0
	r.do(metadata.OpenSession{Want: metadata.NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1})
	topic := metadata.TopicID{byte(r.session.ID())}
	r.do(metadata.CreateTopic{ID: topic, Name: fmt.Sprint("t", r.session.ID()), Partitions: 1, ReplicationFactor: 3})
	name := walName(r.session.ID(), 1)
	e := &metadata.Entry{Topics: []metadata.TopicID{topic}, Principals: []string{""}, Objects: []metadata.ObjectRef{{Name: name, Size: 100, Puts: 1}},
		Parts: []metadata.Part{{Length: 100, Runs: []metadata.Run{{Producer: metadata.NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 1, Bytes: 100}}}}}
	if out, err := r.commit(r.t.Context(), e, nil); err != nil || out.Parts[0][0].Code != metadata.CodeOK {
		r.t.Fatalf("%+v, %v", out, err)
	}
	used = name.Key()
	for i := range n {
		left = append(left, walName(r.session.ID(), 2+i).Key())
	}
	left = append(left, metadata.ArchiveKey(1, 900, r.session.ID(), 1), metadata.CheckpointKey(1, 900, r.session.ID()))
	r.put(append(left, used)...)
	gone := r.session.ID()
	r.log.ExpireSession(gone)
	r.session, r.seq = mine, seq
	r.do(metadata.CloseSession{Session: gone})
	return used, left
}

// What a session that ended left in the bucket is found, buried and deleted; what it
// wrote and is used stays, and so does what a running session has under way.
func TestLeftoversOfASessionAreFound(t *testing.T) {
	inBubble(t, func(r *rig) {
		used, left := r.endSession(4)
		under := []string{walName(r.session.ID(), 77).Key(), metadata.ArchiveKey(1, 901, r.session.ID(), 1), metadata.CheckpointKey(1, 901, r.session.ID())}
		r.put(under...)
		r.addBases()
		c := r.newCollector()
		r.run(c, 59, interval)
		r.expect("leftovers before their time", r.stats.Totals().Leftovers, 0)
		r.run(c, 3, interval)
		r.expect("leftovers", r.stats.Totals().Leftovers, len(left))
		r.addBases()
		r.run(c, int(grace/interval)+2, interval)
		r.expect("objects of the session", r.left(append(left, used)...), []string{used})
		r.expect("objects of the running one", len(r.left(under...)), len(under))
		lists := r.bucket.lists
		r.run(c, 10, interval)
		r.expect("listings when all is found", r.bucket.lists, lists)
	})
}

// A search that a chunk does not finish goes on where it was, also where the state
// names all of the chunk, and a new holder continues it.
func TestASearchGoesOnAfterAChunk(t *testing.T) {
	inBubble(t, func(r *rig) {
		_, left := r.endSession(2)
		r.addBases()
		search := metadata.LeftoverSearch{}
		r.tick(time.Duration(metadata.LeftoverGrace+1000) * time.Millisecond)
		due := func() (ok bool) {
			r.replica.View(func(s *metadata.State) { search, ok = s.LeftoversDue(metadata.LeftoverGrace) })
			return ok
		}
		if !due() {
			r.t.Fatal("no search is due")
		}
		// A chunk of keys that are all named: nothing is buried, and it is not looked at again.
		upTo := fmt.Sprintf("%d/wal/%s/low-%012x-0", 1, search.Session, 1)
		r.do(metadata.BuryLeftovers{Session: search.Session, Incarnation: 1, UpTo: upTo})
		if !due() || search.After != upTo {
			r.t.Fatalf("the search is at %q, want %q", search.After, upTo)
		}
		c := r.newCollector()
		r.run(c, 1, 0)
		r.expect("leftovers behind the chunk", r.stats.Totals().Leftovers, len(left)-2) // archive and checkpoint come before
		if due() {
			t.Errorf("a search from %q is due", search.After)
		}
	})
}

// More keys than a chunk has, all of them in use, do not keep a search from what lies
// behind them.
func TestAChunkOfNamedKeysMakesProgress(t *testing.T) {
	inBubble(t, func(r *rig) {
		const objects = 1000 // in one entry
		mine, seq := r.session, r.seq
		r.session, r.seq = r.openSession("b"), 0
		r.do(metadata.OpenSession{Want: metadata.NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1})
		topic := metadata.TopicID{1}
		r.do(metadata.CreateTopic{ID: topic, Name: "t", Partitions: objects, ReplicationFactor: 3})
		n := uint64(0)
		for n <= chunkKeys {
			e := &metadata.Entry{Topics: []metadata.TopicID{topic}, Principals: []string{""}}
			for i := range objects {
				n++
				e.Objects = append(e.Objects, metadata.ObjectRef{Name: walName(r.session.ID(), n), Size: 100, Puts: 1})
				e.Parts = append(e.Parts, metadata.Part{Partition: metadata.Partition(i), Object: i, Length: 100,
					Runs: []metadata.Run{{Producer: metadata.NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 1, Bytes: 100}}})
				r.put(walName(r.session.ID(), n).Key())
			}
			if out, err := r.commit(r.t.Context(), e, nil); err != nil || out.Parts[0][0].Code != metadata.CodeOK {
				r.t.Fatalf("%+v, %v", out, err)
			}
		}
		left := walName(r.session.ID(), n+1).Key()
		r.put(left)
		gone := r.session.ID()
		r.log.ExpireSession(gone)
		r.session, r.seq = mine, seq
		r.do(metadata.CloseSession{Session: gone})
		r.addBases()
		r.tick(time.Duration(metadata.LeftoverGrace+1000) * time.Millisecond)
		c := r.newCollector()
		r.run(c, 3, interval)
		r.expect("leftovers", r.stats.Totals().Leftovers, 1)
		r.replica.View(func(s *metadata.State) {
			if s, due := s.LeftoversDue(metadata.LeftoverGrace); due {
				r.t.Errorf("the search is at %q after three passes", s.After)
			}
		})
	})
}

// What another incarnation left is kept for a week.
func TestLeftoversOfAFormerIncarnationAreKeptForAWeek(t *testing.T) {
	inIncarnation(t, 2, func(r *rig) {
		former := []string{walName(metadata.SessionID(5), 1).Key(), metadata.ArchiveKey(1, 900, 5, 1), metadata.CheckpointKey(1, 900, 5)}
		r.put(append(former, metadata.IncarnationKey(1))...)
		c := r.newCollector()
		r.addBases()
		r.tick(7*24*time.Hour - time.Hour)
		r.run(c, 2, interval)
		r.expect("leftovers within a week", r.stats.Totals().Leftovers, 0)
		r.tick(2 * time.Hour)
		r.run(c, 1, interval)
		r.expect("leftovers after a week", r.stats.Totals().Leftovers, len(former))
		r.expect("marker", len(r.left(metadata.IncarnationKey(1))), 1)
	})
}
