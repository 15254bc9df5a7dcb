package metadata

import (
	"fmt"
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
		_, ok := checkpointObjects(s.checkpoints)[key]
		return ok
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
func ParseObjectKey(key string) (k ObjectKey, err error) {
	bad := func() (ObjectKey, error) {
		return ObjectKey{}, fmt.Errorf("parse object key %q: not one of zonewise", key)
	}
	part := strings.Split(key, "/")
	if len(part) == 2 && part[0] == "incarnation" {
		n, err := strconv.ParseUint(part[1], 16, 32)
		k = ObjectKey{Class: ObjectIncarnation, Incarnation: Incarnation(n)}
		if err != nil || IncarnationKey(k.Incarnation) != key {
			return bad()
		}
		return k, nil
	}
	if len(part) < 3 {
		return bad()
	}
	n, err := strconv.ParseUint(part[0], 10, 32)
	if err != nil || n == 0 {
		return bad()
	}
	k.Incarnation = Incarnation(n)
	hex := func(text string) uint64 {
		n, e := strconv.ParseUint(text, 16, 64)
		if e != nil {
			err = e
		}
		return n
	}
	written := ""
	switch {
	case part[1] == "wal" && len(part) == 4:
		name := strings.Split(part[3], "-")
		if len(name) != 3 {
			return bad()
		}
		k.Class, k.Session = ObjectWAL, SessionID(hex(part[2]))
		k.Name = ObjectName{Session: k.Session, Lane: LaneCount, Number: hex(name[1])}
		for l := range LaneCount {
			if l.String() == name[0] {
				k.Name.Lane = l
			}
		}
		try, e := strconv.ParseUint(name[2], 10, 8)
		if e != nil {
			return bad()
		}
		k.Name.Try = uint8(try)
		written = k.Name.Key()
	case part[1] == "archive" && len(part) == 4:
		session, try, _ := strings.Cut(part[3], "-")
		k.Class, k.Extent, k.Session = ObjectArchive, Extent(hex(part[2])), SessionID(hex(session))
		n, e := strconv.Atoi(try)
		if e != nil {
			return bad()
		}
		written = ArchiveKey(k.Incarnation, k.Extent, k.Session, n)
	case part[1] == "inline" && len(part) == 4:
		session, try, _ := strings.Cut(part[3], "-")
		k.Class, k.Extent, k.Session = ObjectInline, Extent(hex(part[2])), SessionID(hex(session))
		n, e := strconv.Atoi(try)
		if e != nil {
			return bad()
		}
		written = InlineKey(k.Incarnation, k.Extent, k.Session, n)
	case part[1] == "checkpoint" && len(part) == 3:
		at, session, _ := strings.Cut(part[2], "-")
		k.Class, k.Session = ObjectCheckpoint, SessionID(hex(session))
		written = CheckpointKey(k.Incarnation, Revision(hex(at)), k.Session)
	}
	if err != nil || written != key {
		return bad()
	}
	return k, nil
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
