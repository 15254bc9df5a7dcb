package metadata

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// scratch is memory that Apply reuses; it is not part of the state.
type scratch struct {
	entry   Entry
	fields  reader // of the command being decoded
	weights []uint64
	shares  []payerShare
	index   map[payerKey]int // of shares
	uses    []entryUse       // of the entry's objects
}

// Apply is the only function that changes a state. It is pure: the outcome and
// the state afterwards depend on nothing but the state before and the entry. It
// validates before it changes anything. An entry that is invalid, or that panics,
// has the deterministic outcome CodeRefused and counts as an alarm.
//
// Entries are applied in the order of their revisions; an entry that is not newer
// than the state changes nothing.
func (s *State) Apply(c *CommittedEntry) (Outcome, *Entry) {
	if c.Revision <= s.revision {
		return Outcome{Revision: c.Revision, Code: CodeGap, Text: "already applied"}, nil
	}
	s.updateDigest(c)
	s.revision = c.Revision
	s.extent = max(s.extent, c.Extent)
	s.entries++
	out, e := s.applyCatchingPanic(c)
	out.Revision = c.Revision
	if out.Code == CodeRefused || out.Code == CodeGap {
		s.alarms++
		s.lastAlarm = fmt.Sprintf("entry %s/%s/%d at revision %d: %s", c.Session, c.Lane, c.Seq, c.Revision, out.Text)
	}
	return out, e
}

// applyCatchingPanic turns a panic into an outcome that is the same on every
// broker.
func (s *State) applyCatchingPanic(c *CommittedEntry) (out Outcome, e *Entry) {
	defer func() {
		if r := recover(); r != nil {
			out, e = Outcome{Code: CodeRefused, Text: fmt.Sprintf("BUG: panic: %v", r)}, nil
		}
	}()
	return s.applyEntry(c)
}

func (s *State) applyEntry(c *CommittedEntry) (Outcome, *Entry) {
	var e *Entry
	var bad error
	if len(c.Bytes) > 0 { // an empty entry takes the place of an entry whose guard failed
		e = &s.scratch.entry
		bad = decodeEntry(c.Bytes, e, &s.scratch.fields)
		switch {
		case bad != nil:
		case e.Level > s.level: // as bad as one that a program of the state's level cannot decode
			bad = fmt.Errorf("entry level %d, feature level is %d", e.Level, s.level)
		case e.Session != c.Session || e.Lane != c.Lane || e.Seq != c.Seq:
			bad = fmt.Errorf("entry header names %s/%s/%d", e.Session, e.Lane, e.Seq)
		}
	}
	// A session's first entry passes the same checks as the others of an open
	// session. So OpenSession is admitted here, before the checks and before its
	// own apply.
	if s.sessions[c.Session] == nil && bad == nil && e != nil && isOpenSession(e) {
		if code, text := s.admitSession(e); code != CodeOK {
			return Outcome{Commands: []CommandOutcome{{Code: code, Text: text}}}, e
		}
	}
	session := s.sessions[c.Session]
	switch {
	case session == nil:
		return Outcome{Code: CodeUnknownSession, Text: "session is not open"}, nil
	case c.Lane >= LaneCount:
		return Outcome{Code: CodeRefused, Text: "no such lane"}, nil
	case c.Seq <= session.lanes[c.Lane]:
		return Outcome{Code: CodeGap, Text: fmt.Sprintf("duplicate seq %d", c.Seq)}, nil
	case c.Seq != session.lanes[c.Lane]+1:
		text := fmt.Sprintf("seq %d after %d: the session is closed", c.Seq, session.lanes[c.Lane])
		s.closeSession(c.Session)
		return Outcome{Code: CodeGap, Text: text}, nil
	}
	session.lanes[c.Lane] = c.Seq
	if bad != nil {
		return Outcome{Code: CodeRefused, Text: bad.Error()}, nil
	}
	if e == nil {
		return Outcome{Code: CodeGuardFailed}, nil
	}
	if err := s.checkObjects(e); err != nil {
		return Outcome{Code: CodeRefused, Text: err.Error()}, nil
	}
	var out Outcome
	s.buryOrphans(e)
	out.Parts = s.applyParts(c.Revision, e)
	for _, cmd := range e.Commands {
		out.Commands = append(out.Commands, cmd.apply(s, e))
	}
	s.bookEntryCosts(c, e, out.Parts)
	return out, e
}

// entryTime is the writer's clock of the entry being applied, within bounds: at
// least state time, which may be behind where ticks were late, and at most one
// tick step ahead of it, in case the clock is off.
func (s *State) entryTime() UnixMilli {
	return min(max(s.scratch.entry.Time, s.time), s.time+MaxTickStep)
}

// checkObjects refuses an entry with an object that is not named after the
// entry's own session: the objects of a dead session are found by their names.
func (s *State) checkObjects(e *Entry) error {
	for _, list := range [][]ObjectRef{e.Objects, e.Orphans} {
		for _, o := range list {
			if o.Name.Session != e.Session {
				return fmt.Errorf("object %s belongs to another session", o.Name.Key())
			}
		}
	}
	return nil
}

// updateDigest adds an entry to its extent's digest, also one that is refused: an
// archive must be exactly the log.
func (s *State) updateDigest(c *CommittedEntry) {
	n := len(s.unarchivedExtents)
	if n == 0 || s.unarchivedExtents[n-1].extent < c.Extent {
		g := unarchivedExtent{extent: c.Extent, first: c.Revision, digest: s.lastDigest()}
		s.unarchivedExtents = append(slices.Clip(s.unarchivedExtents), g)
		n++
	}
	g := &s.unarchivedExtents[n-1]
	g.digest = ChainDigest(g.digest, c)
	g.last = c.Revision
	g.entries++
}

func (s *State) lastDigest() (d [sha256.Size]byte) {
	if n := len(s.unarchivedExtents); n > 0 {
		return s.unarchivedExtents[n-1].digest
	}
	if a := s.archives.newest(); a != nil {
		return a.Digest
	}
	return d
}

// ChainDigest returns the digest of the log up to and including c, from prev, the
// digest up to the entry before: SHA-256 over prev, the entry's key and its
// bytes.
func ChainDigest(prev [sha256.Size]byte, c *CommittedEntry) [sha256.Size]byte {
	var place [sha256.Size + 41]byte
	copy(place[:], prev[:])
	b := place[sha256.Size:]
	binary.BigEndian.PutUint64(b, uint64(c.Revision))
	binary.BigEndian.PutUint64(b[8:], uint64(c.Extent))
	binary.BigEndian.PutUint64(b[16:], uint64(c.Session))
	b[24] = uint8(c.Lane)
	binary.BigEndian.PutUint64(b[25:], uint64(c.Seq))
	binary.BigEndian.PutUint64(b[33:], uint64(len(c.Bytes)))
	h := sha256.New()
	h.Write(place[:])
	h.Write(c.Bytes)
	var d [sha256.Size]byte
	h.Sum(d[:0])
	return d
}
