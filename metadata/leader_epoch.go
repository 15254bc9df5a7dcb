package metadata

import "slices"

// A partition's leader epoch rises when the placement moves its leader in some zone.
// To find out which partitions that are takes a look at all of them, for longer than
// an entry may stop apply. So a change of the placement is only recorded, what it
// moved is computed when an epoch is read, and ticks add it to the partitions' rows,
// a counted number of them each (ADR 0024).

const (
	// maxPlacementChanges is how many changes are kept that some row does not have
	// yet. Of older ones it is not known which partitions they moved: they count as
	// moves of every partition whose row does not have them.
	maxPlacementChanges = 64
	// foldBudget is how much work a tick does for the rows: a look at one change for
	// one row is 1, a row that changes foldRowCost.
	foldBudget  = 25_000
	foldRowCost = 20
)

// leaderEpochs is what of the partitions' epochs is not in their rows.
type leaderEpochs struct {
	changes uint64            // of the placement, so far
	kept    []placementChange // the newest of them; appended to, never changed in place
	done    uint64            // every row has the changes up to this one
	goal    uint64            // while rows are brought up to date: those of pages before page have the changes up to this one
	page    int               // of table partitions
}

// placementChange is one change of the placement.
type placementChange struct {
	before, after *Placement
	// only is the one broker that joined or left, as nearly always; else NoBroker.
	only   BrokerID
	joined bool
}

func newPlacementChange(before, after *Placement) placementChange {
	c := placementChange{before: before, after: after, only: NoBroker}
	few, many := before, after
	if c.joined = len(before.brokers) < len(after.brokers); !c.joined {
		few, many = after, before
	}
	if len(many.brokers) != len(few.brokers)+1 {
		return c
	}
	only := NoBroker
	for _, b := range many.brokers {
		switch zone, there := few.zoneOf[b]; {
		case !there && only == NoBroker:
			only = b
		case !there || zone != many.zoneOf[b]:
			return c
		}
	}
	c.only = only
	return c
}

// moves reports whether the change moved the leader of a partition in some zone.
func (c *placementChange) moves(tp TopicPartition) bool {
	if c.only == NoBroker {
		if c.before.Leader(tp, UnknownZone) != c.after.Leader(tp, UnknownZone) {
			return true
		}
		return slices.ContainsFunc(c.after.zones, func(z ZoneID) bool { return c.before.Leader(tp, z) != c.after.Leader(tp, z) })
	}
	with, without := c.before, c.after
	if c.joined {
		with, without = c.after, c.before
	}
	zone := with.zoneOf[c.only]
	if !without.InZone(zone) {
		return true // clients of its zone have it with, and another one without
	}
	return leads(tp, c.only, with.byZone[zone]) || leads(tp, c.only, with.brokers)
}

// leads reports whether chooseLeader chooses this broker of the list. Mostly two or
// three of the others are enough to see that it does not.
func leads(tp TopicPartition, b BrokerID, brokers []BrokerID) bool {
	base := hashSeedPlace.Partition(tp)
	own, before := base.Word(uint64(uint32(b))).Sum(), true
	for _, o := range brokers {
		if o == b {
			before = false
		} else if w := base.Word(uint64(uint32(o))).Sum(); w > own || w == own && before {
			return false
		}
	}
	return true
}

// addChange records a change.
func (e *leaderEpochs) addChange(c placementChange) {
	e.changes++
	e.kept = append(e.kept, c)
	if over := len(e.kept) - maxPlacementChanges; over > 0 {
		e.kept = e.kept[over:]
	}
}

// counted returns up to which change a row has what moved its partition.
func (e *leaderEpochs) counted(tp TopicPartition, p *partitionState) uint64 {
	done := e.done
	if e.page > 0 && int(pageOfPartition(tp)%tablePages) < e.page {
		done = e.goal
	}
	return max(done, p.epochFrom)
}

// countMoves returns how many of the changes after from up to to moved a partition.
func (e *leaderEpochs) countMoves(tp TopicPartition, from, to uint64) (n LeaderEpoch) {
	lost := e.changes - uint64(len(e.kept)) // the newest that is not kept
	if from < lost {
		known := min(to, lost)
		n += LeaderEpoch(known - from)
		from = known
	}
	for ; from < to; from++ {
		if e.kept[from-lost].moves(tp) {
			n++
		}
	}
	return n
}

// leaderEpoch returns a partition's epoch.
func (s *State) leaderEpoch(tp TopicPartition, p *partitionState) LeaderEpoch {
	e := &s.epochs
	if e.done == e.changes {
		return p.epoch
	}
	return p.epoch + e.countMoves(tp, e.counted(tp, p), e.changes)
}

// foldLeaderEpochs brings some rows up to date. No epoch changes by it.
func (s *State) foldLeaderEpochs() {
	e := &s.epochs
	if e.done == e.changes {
		return
	}
	if e.page == 0 {
		e.goal = e.changes
	}
	for work := 0; work < foldBudget && e.page < tablePages; e.page++ {
		work += 1 + s.foldPage(e.page)
	}
	if e.page < tablePages {
		return
	}
	e.done, e.goal, e.page = e.goal, 0, 0
	if more := int(e.changes - e.done); more < len(e.kept) {
		e.kept = slices.Clone(e.kept[len(e.kept)-more:])
	}
}

// foldPage brings the rows of a page up to date, and returns how much work it was.
func (s *State) foldPage(page int) (work int) {
	e := &s.epochs
	p := s.partitions.pages[page]
	if p == nil {
		return 0
	}
	moved := map[TopicPartition]LeaderEpoch{}
	for tp, row := range p.items.all() {
		from := max(e.done, row.epochFrom)
		if from >= e.goal {
			continue
		}
		work += int(e.goal - from)
		if n := e.countMoves(tp, from, e.goal); n > 0 {
			moved[tp] = n
		}
	}
	for tp, n := range moved {
		s.partitions.edit(tp, func(p *partitionState) { p.epoch += n })
	}
	return work + foldRowCost*len(moved)
}

// jumpLeaderEpoch raises a partition's epoch, in its row.
func (s *State) jumpLeaderEpoch(tp TopicPartition, p *partitionState, by LeaderEpoch) {
	p.epoch, p.epochFrom = s.leaderEpoch(tp, p)+by, s.epochs.changes
}

func (w *writer) writeLeaderEpochs(s *State) {
	e := &s.epochs
	w.uvarint(e.changes)
	w.uvarint(e.done)
	w.uvarint(e.goal)
	w.uvarint(uint64(e.page))
	w.uvarint(uint64(len(e.kept)))
	for i := range e.kept {
		c := &e.kept[i]
		follows := i > 0 && c.before.hasSameBrokers(e.kept[i-1].after)
		w.flag(follows)
		if !follows {
			w.writePlacement(s, c.before)
		}
		w.writePlacement(s, c.after)
	}
}

func (r *reader) readLeaderEpochs(s *State) {
	e := &s.epochs
	e.changes, e.done, e.goal, e.page = r.Uvarint(), r.Uvarint(), r.Uvarint(), int(r.UvarintUpTo(tablePages, "page"))
	for range r.Count(3, "changes of the placement") {
		var before *Placement
		if follows := r.Flag(); !follows {
			before = r.readPlacement(s)
		} else if n := len(e.kept); n > 0 {
			before = e.kept[n-1].after
		}
		after := r.readPlacement(s)
		if before == nil || after == nil {
			r.Fail("a change of the placement without one")
			return
		}
		e.kept = append(e.kept, newPlacementChange(before, after))
	}
	if e.done > e.changes || e.goal > e.changes || uint64(len(e.kept)) > e.changes {
		r.Fail("%d changes of the placement, %d done, %d kept", e.changes, e.done, len(e.kept))
	}
}

func (s *State) hashLeaderEpochs(m Hash) Hash {
	e := &s.epochs
	m = m.Word(e.changes).Word(e.done).Word(e.goal).Word(uint64(e.page)).Word(uint64(len(e.kept)))
	for i := range e.kept {
		m = m.Word(e.kept[i].before.hash).Word(e.kept[i].after.hash)
	}
	return m
}
