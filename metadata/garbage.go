package metadata

import (
	"slices"
)

// ObjectClass is what an object in the bucket is for.
type ObjectClass uint8

// The classes of objects. Numbers are stored.
const (
	ObjectWAL         ObjectClass = iota + 1 // record bytes
	ObjectArchive                            // a closed extent of the log
	ObjectCheckpoint                         // pages of the state
	ObjectIncarnation                        // the marker of an incarnation
	ObjectInline                             // record bytes moved out of archives
	objectClassEnd
)

// String returns the class's name in reports and metrics.
func (c ObjectClass) String() string {
	switch c {
	case ObjectWAL:
		return "wal"
	case ObjectArchive:
		return "archive"
	case ObjectCheckpoint:
		return "checkpoint"
	case ObjectIncarnation:
		return "incarnation"
	case ObjectInline:
		return "inline"
	}
	return "unknown"
}

// GarbageID numbers dead objects in the order of their deaths, from 1.
type GarbageID uint64

// topicBytes is how many bytes of an object are records of a topic.
type topicBytes struct {
	topic TopicID
	bytes int64
}

// garbageState is a dead object: nothing will ever refer to it again. It is
// remembered until its deletion from the bucket is confirmed, since only what is
// remembered can be deleted, and its bytes are billed until then.
type garbageState struct {
	class    ObjectClass
	name     ObjectName // of class ObjectWAL
	key      string     // of the other classes
	size     int64
	revision Revision     // of the entry by which it died
	time     UnixMilli    // state time then
	shares   []topicBytes // bytes of records in it, by topic
}

func (g *garbageState) objectKey() string {
	if g.class == ObjectWAL {
		return g.name.Key()
	}
	return g.key
}

// garbageTable is the dead objects, in the order of their deaths.
type garbageTable struct {
	rows  *table[GarbageID, garbageState]
	next  GarbageID   // of the next death
	queue []GarbageID // derived from rows, in order; may have ids that are gone
}

func newGarbageTable(sum *uint64) garbageTable {
	return garbageTable{rows: newTable(pageOfGarbage, cloneByValue, hashGarbage, sum), next: 1}
}

// pageOfGarbage puts objects that died together on one page: they are deleted
// together, too.
func pageOfGarbage(id GarbageID) uint64 { return uint64(id) >> 8 }

func (t *garbageTable) snapshotGarbage() garbageTable {
	return garbageTable{rows: t.rows.snapshot(), next: t.next, queue: slices.Clip(t.queue)}
}

// sortQueue derives the queue from the rows, after a checkpoint was loaded.
func (t *garbageTable) sortQueue() {
	t.queue = make([]GarbageID, 0, t.rows.count)
	t.rows.each(func(id GarbageID, _ *garbageState) bool { t.queue = append(t.queue, id); return true })
	slices.Sort(t.queue)
}

// bury records a death by the entry being applied.
func (s *State) bury(g garbageState) {
	g.revision, g.time = s.revision, s.time
	id := s.garbage.next
	s.garbage.next++
	s.garbage.rows.put(id, g)
	s.garbage.queue = append(s.garbage.queue, id)
	s.garbageBytes += g.size
}

// confirmDeleted forgets a dead object whose deletion is confirmed.
func (s *State) confirmDeleted(id GarbageID) bool {
	g := s.garbage.rows.get(id)
	if g == nil {
		return false
	}
	for _, share := range g.shares {
		s.addStoredBytes(share.topic, 0, -share.bytes)
	}
	s.garbageBytes -= g.size
	s.garbage.rows.drop(id)
	if q := s.garbage.queue; len(q) > 64 && len(q) > 2*s.garbage.rows.count {
		s.garbage.sortQueue()
	}
	return true
}

// buryOrphans records the objects of an entry that were uploaded, perhaps, but are
// not used.
func (s *State) buryOrphans(e *Entry) {
	for i := range e.Orphans {
		s.bury(garbageState{class: ObjectWAL, name: e.Orphans[i].Name, size: e.Orphans[i].Size})
	}
}

// GarbageObject is a dead object.
type GarbageObject struct {
	ID       GarbageID
	Class    ObjectClass
	Key      string // below "<cluster>/"
	Size     int64
	Revision Revision  // of the entry by which it died
	Time     UnixMilli // state time then
}

// Garbage appends to out the dead objects with ids from after+1 on whose death is
// at or before a revision and a state time, at most max of them, oldest first.
func (s *State) Garbage(out []GarbageObject, after GarbageID, rev Revision, at UnixMilli, max int) []GarbageObject {
	i, _ := slices.BinarySearch(s.garbage.queue, after+1)
	for ; i < len(s.garbage.queue) && max > 0; i++ {
		g := s.garbage.rows.get(s.garbage.queue[i])
		if g == nil {
			continue
		}
		if g.revision > rev || g.time > at {
			break
		}
		out = append(out, GarbageObject{s.garbage.queue[i], g.class, g.objectKey(), g.size, g.revision, g.time})
		max--
	}
	return out
}

// NextGarbage returns the id that the next dead object gets.
func (s *State) NextGarbage() GarbageID { return s.garbage.next }

// GarbageTotals returns how many dead objects wait for their deletion, and their
// bytes.
func (s *State) GarbageTotals() (objects int, bytes int64) {
	return s.garbage.rows.count, s.garbageBytes
}
