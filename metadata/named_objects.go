package metadata

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// NamedObject is an object in the bucket that the state knows.
type NamedObject struct {
	Class ObjectClass
	Key   string // below "<cluster>/"
	Size  int64  // 0: not known
	Dead  bool   // it waits for its deletion, and may be gone already
}

// NamedObjects calls f for every object of every class that the state names, until it
// returns false. It visits every row: for a snapshot, not for a View. What is in the
// bucket and is not named is of a writer at work, or garbage.
func (s *State) NamedObjects(f func(NamedObject) bool) {
	more := true
	for part := range NamedPages {
		s.VisitNamed(part, func(o NamedObject) { more = more && f(o) })
	}
}

// NamedPages is how many parts VisitNamed has.
const NamedPages = 2*tablePages + 1

// VisitNamed calls f for the objects of one part of NamedObjects, so that a View of all
// of them is short. Live objects come before dead ones: an object that dies between
// two parts is in one of them.
func (s *State) VisitNamed(part int, f func(NamedObject)) {
	switch {
	case part == 0:
		s.archives.rows.each(func(_ Extent, a *ArchiveRef) bool {
			f(NamedObject{ObjectArchive, a.Object, a.Size, false})
			return true
		})
		s.inlines.rows.each(func(_ Extent, a *ArchiveRef) bool {
			f(NamedObject{ObjectInline, a.Object, a.Size, false})
			return true
		})
		for key, size := range checkpointObjects(s.checkpoints) {
			f(NamedObject{ObjectCheckpoint, key, size, false})
		}
	case part <= tablePages:
		s.objects.eachOnPage(part-1, func(_ objectKey, o *objectState) { f(NamedObject{ObjectWAL, o.name.Key(), o.size, false}) })
	default:
		s.garbage.rows.eachOnPage(part-1-tablePages, func(_ GarbageID, g *garbageState) { f(NamedObject{g.class, g.objectKey(), g.size, true}) })
	}
}

// namesObject reports whether an archive, an inline object or a checkpoint is in use. A WAL object of a
// session that ended is looked for by who lists the bucket: nothing can begin to use
// it.
func (s *State) namesObject(class ObjectClass, key string) bool {
	switch class {
	case ObjectArchive:
		k, err := ParseObjectKey(key)
		a := s.archives.rows.get(k.Extent)
		return err != nil || a != nil && a.Object == key
	case ObjectInline:
		k, err := ParseObjectKey(key)
		a := s.inlines.rows.get(k.Extent)
		return err != nil || a != nil && a.Object == key
	case ObjectCheckpoint:
		return slices.ContainsFunc(s.checkpoints, func(c CheckpointRecord) bool {
			return slices.ContainsFunc(c.Objects, func(o CheckpointObject) bool { return o.Key == key })
		})
	}
	return false
}

// ObjectKey is what a key below "<cluster>/" says.
type ObjectKey struct {
	Class       ObjectClass
	Incarnation Incarnation
	Session     SessionID  // that wrote it; 0 for ObjectIncarnation
	Name        ObjectName // of ObjectWAL
	Extent      Extent     // of ObjectArchive and ObjectInline
}

// ParseObjectKey reads a key that ObjectName.Key, ArchiveKey, InlineKey, CheckpointKey
// or IncarnationKey wrote.
func ParseObjectKey(key string) (ObjectKey, error) {
	if k, written := readObjectKey(strings.Split(key, "/")); written != "" && written == key {
		return k, nil
	}
	return ObjectKey{}, fmt.Errorf("parse object key %q: not one of zonewise", key)
}

// readObjectKey reads what it can of a key's parts, and writes that again: only of a
// right key it is the same. Nothing is written of what is no key at all.
func readObjectKey(part []string) (k ObjectKey, written string) {
	if len(part) == 2 && part[0] == "incarnation" {
		k = ObjectKey{Class: ObjectIncarnation, Incarnation: Incarnation(readHex(part[1]))}
		return k, IncarnationKey(k.Incarnation)
	}
	if len(part) < 3 || part[0] == "0" {
		return k, ""
	}
	n, _ := strconv.ParseUint(part[0], 10, 32)
	k.Incarnation = Incarnation(n)
	last := strings.Split(part[len(part)-1], "-")
	try, _ := strconv.Atoi(last[len(last)-1])
	switch kind := part[1]; {
	case kind == "wal" && len(part) == 4 && len(last) == 3:
		k.Class, k.Session = ObjectWAL, SessionID(readHex(part[2]))
		k.Name = ObjectName{Session: k.Session, Lane: readLane(last[0]), Number: readHex(last[1]), Try: uint8(try)}
		return k, k.Name.Key()
	case kind == "archive" && len(part) == 4:
		k.Class, k.Extent, k.Session = ObjectArchive, Extent(readHex(part[2])), SessionID(readHex(last[0]))
		return k, ArchiveKey(k.Incarnation, k.Extent, k.Session, try)
	case kind == "inline" && len(part) == 4:
		k.Class, k.Extent, k.Session = ObjectInline, Extent(readHex(part[2])), SessionID(readHex(last[0]))
		return k, InlineKey(k.Incarnation, k.Extent, k.Session, try)
	case kind == "checkpoint" && len(part) == 3 && len(last) == 2:
		k.Class, k.Session = ObjectCheckpoint, SessionID(readHex(last[1]))
		return k, CheckpointKey(k.Incarnation, Revision(readHex(last[0])), k.Session)
	}
	return k, ""
}

// readHex returns 0 for what is no number: it is not written again as it was.
func readHex(text string) uint64 {
	n, _ := strconv.ParseUint(text, 16, 64)
	return n
}

// readLane returns the lane of a name; LaneCount, which has another name, where there is
// none.
func readLane(name string) Lane {
	for l := range LaneCount {
		if l.String() == name {
			return l
		}
	}
	return LaneCount
}

// nameOfKey returns the name in a leftover's key; zero for other classes than
// ObjectWAL.
func nameOfKey(o Leftover) ObjectName {
	if o.Class != ObjectWAL {
		return ObjectName{}
	}
	k, _ := ParseObjectKey(o.Key)
	return k.Name
}

// keyUnlessName returns a leftover's key, where its name does not say it.
func keyUnlessName(o Leftover) string {
	if o.Class == ObjectWAL {
		return ""
	}
	return o.Key
}
