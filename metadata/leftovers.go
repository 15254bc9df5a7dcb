package metadata

import "slices"

// A session that ends may leave objects in the bucket that no entry names: uploads
// under way, objects of entries that were not committed. They are found by their
// names, which begin with the incarnation and the session, some time after the
// session's end, and buried. The same goes for a former incarnation: entries of its
// lost tail named objects that the recovered state does not know.

// LeftoverGrace is how long after a session's end, in state time, its leftovers are
// searched for: longer than any upload of it can take.
const LeftoverGrace UnixMilli = 10 * 60 * 1000

// FormerIncarnationGrace is how long after a recovery the leftovers of former
// incarnations are kept, in state time: someone may want to look for records of the
// lost tail.
const FormerIncarnationGrace UnixMilli = 7 * 24 * 3600 * 1000

// maxLeftovers bounds the sessions whose leftovers are still to be searched for. At
// the limit the oldest are forgotten: `zonewise verify` finds what they left.
const maxLeftovers = 10_000

// leftover is a session that ended, or, without a session, a former incarnation.
type leftover struct {
	session     SessionID
	incarnation Incarnation
	since       UnixMilli // state time
	after       string    // keys up to this one are buried already
}

// addLeftover remembers a session that ended.
func (s *State) addLeftover(id SessionID) {
	list := s.leftovers
	if len(list) >= maxLeftovers {
		list = list[1:]
	}
	s.leftovers = append(slices.Clip(list), leftover{session: id, incarnation: id.Incarnation(), since: s.time})
}

// addFormerIncarnations replaces the sessions of former incarnations by the
// incarnations themselves, at a recovery.
func (s *State) addFormerIncarnations(c RecoverCluster) {
	since := s.time
	if c.DiscardLost {
		since -= FormerIncarnationGrace
	}
	var list []leftover
	for _, l := range s.leftovers {
		if l.session == 0 {
			l.since = min(l.since, since)
			list = append(list, l)
		}
	}
	for i := Incarnation(1); i < c.Incarnation; i++ {
		if !slices.ContainsFunc(list, func(l leftover) bool { return l.incarnation == i }) {
			list = append(list, leftover{incarnation: i, since: since})
		}
	}
	s.leftovers = list
}

// LeftoverSearch is a session or a former incarnation whose leftovers are to be
// searched for.
type LeftoverSearch struct {
	Session     SessionID // 0: a whole incarnation
	Incarnation Incarnation
	After       string // keys up to this one are done
}

// waitTime is how long after its end a session is searched for, or an incarnation.
func (l leftover) waitTime(grace UnixMilli) UnixMilli {
	if l.session == 0 {
		return FormerIncarnationGrace
	}
	return grace
}

// LeftoversDue returns the first search that is due, if any. grace is LeftoverGrace,
// or less in tests.
func (s *State) LeftoversDue(grace UnixMilli) (LeftoverSearch, bool) {
	for _, l := range s.leftovers {
		if s.time-l.since > l.waitTime(grace) {
			return LeftoverSearch{l.session, l.incarnation, l.after}, true
		}
	}
	return LeftoverSearch{}, false
}

// PendingSearch is a search for leftovers that is still to come, or under way.
type PendingSearch struct {
	LeftoverSearch
	Due UnixMilli // state time after which it begins
}

// PendingSearches returns the searches for leftovers that are not done, in the order
// in which they will be made. grace is LeftoverGrace, or less in tests.
func (s *State) PendingSearches(grace UnixMilli) []PendingSearch {
	out := make([]PendingSearch, len(s.leftovers))
	for i, l := range s.leftovers {
		out[i] = PendingSearch{LeftoverSearch{l.session, l.incarnation, l.after}, l.since + l.waitTime(grace)}
	}
	return out
}

// BuryLeftovers buries objects of a session that ended, or of a former incarnation,
// that the state does not name. Keys are sorted, and after those of an earlier
// command for the same search.
type BuryLeftovers struct {
	Session     SessionID
	Incarnation Incarnation
	Objects     []Leftover
	UpTo        string // keys up to this one were compared; empty: not all of a chunk yet
	Done        bool   // there are no more
}

// Leftover is an object that no entry names.
type Leftover struct {
	Class ObjectClass
	Key   string // below "<cluster>/"
	Size  int64
}

// MaxLeftoversInEntry is how many objects one BuryLeftovers names at most.
const MaxLeftoversInEntry = 1_000

// Kind implements Command.
func (BuryLeftovers) Kind() CommandKind { return 49 }

func (c BuryLeftovers) encode(w *writer) {
	w.u64(uint64(c.Session))
	w.u32(uint32(c.Incarnation))
	w.writeLeftovers(c.Objects)
	w.text(c.UpTo)
	w.flag(c.Done)
}

func decodeBuryLeftovers(r *reader) Command {
	return BuryLeftovers{SessionID(r.Uint64()), Incarnation(r.Uint32()), r.readLeftovers(), r.Text(), r.Flag()}
}

func (w *writer) writeLeftovers(list []Leftover) {
	w.uvarint(uint64(len(list)))
	for _, o := range list {
		w.u8(uint8(o.Class))
		w.text(o.Key)
		w.uvarint(uint64(o.Size))
	}
}

func (r *reader) readLeftovers() (out []Leftover) {
	for range r.Count(3, "objects") {
		out = append(out, Leftover{ObjectClass(r.Uint8()), r.Text(), int64(r.UvarintUpTo(1<<50, "bytes"))})
	}
	return out
}

func (c BuryLeftovers) apply(s *State, _ *Entry) CommandOutcome {
	at := slices.IndexFunc(s.leftovers, func(l leftover) bool {
		return l.session == c.Session && (c.Session != 0 || l.incarnation == c.Incarnation)
	})
	if at < 0 || s.sessions[c.Session] != nil {
		return refuse(CodeDuplicate, "the leftovers of session %s of incarnation %d are not searched for", c.Session, c.Incarnation)
	}
	list := slices.Clone(s.leftovers)
	for _, o := range c.Objects {
		if o.Key <= list[at].after || s.namesObject(o.Class, o.Key) {
			continue // an earlier holder of the role buried it
		}
		list[at].after = o.Key
		s.bury(garbageState{class: o.Class, name: nameOfKey(o), key: keyUnlessName(o), size: o.Size})
	}
	list[at].after = max(list[at].after, c.UpTo)
	if c.Done {
		list = slices.Delete(list, at, at+1)
	}
	s.leftovers = list
	return CommandOutcome{}
}

// AbandonObjects buries objects that the session which writes the entry has uploaded,
// or tried to, and to which nothing refers: archives that were not accepted, and
// checkpoints on which there was no agreement.
type AbandonObjects struct{ Objects []Leftover }

// Kind implements Command.
func (AbandonObjects) Kind() CommandKind { return 50 }

func (c AbandonObjects) encode(w *writer) { w.writeLeftovers(c.Objects) }

func decodeAbandonObjects(r *reader) Command { return AbandonObjects{r.readLeftovers()} }

func (c AbandonObjects) apply(s *State, _ *Entry) CommandOutcome {
	for _, o := range c.Objects {
		if o.Class != ObjectArchive && o.Class != ObjectCheckpoint && o.Class != ObjectInline {
			return refuse(CodeInvalidRequest, "%s is no object of the log", o.Key)
		}
		if s.namesObject(o.Class, o.Key) {
			return refuse(CodeRefused, "%s is in use", o.Key)
		}
	}
	for _, o := range c.Objects {
		s.bury(garbageState{class: o.Class, key: o.Key, size: o.Size})
	}
	return CommandOutcome{}
}

// ConfirmDeleted forgets dead objects: the bucket has confirmed the deletion of
// exactly these. Outcome.Value is how many were known.
type ConfirmDeleted struct{ IDs []GarbageID }

// MaxConfirmed is how many objects one ConfirmDeleted names at most.
const MaxConfirmed = 1_000

// Kind implements Command.
func (ConfirmDeleted) Kind() CommandKind { return 51 }

func (c ConfirmDeleted) encode(w *writer) {
	w.uvarint(uint64(len(c.IDs)))
	var last GarbageID
	for _, id := range c.IDs {
		w.uvarint(uint64(id - last))
		last = id
	}
}

func decodeConfirmDeleted(r *reader) Command {
	var c ConfirmDeleted
	var last GarbageID
	for range r.Count(1, "ids") {
		last += GarbageID(r.Uvarint())
		c.IDs = append(c.IDs, last)
	}
	return c
}

func (c ConfirmDeleted) apply(s *State, _ *Entry) CommandOutcome {
	if len(c.IDs) > MaxConfirmed {
		return refuse(CodeInvalidRequest, "%d objects, at most %d", len(c.IDs), MaxConfirmed)
	}
	known := 0
	for _, id := range c.IDs {
		if s.confirmDeleted(id) {
			known++
		}
	}
	return CommandOutcome{Value: int64(known)}
}
