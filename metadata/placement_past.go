package metadata

import (
	"maps"
	"slices"
)

// The state keeps former placements, so that a broker that has just become the
// hint of a partition, even one that has just joined, can find the brokers that
// may have batches which clients sent there before.

const (
	// placementMemory is how long, in state time, a former placement is kept:
	// clients keep metadata for five minutes (ten in Sarama) and send to the
	// former hint that long.
	placementMemory UnixMilli = 11 * 60 * 1000
	// maxPastPlacements is how many former placements are kept.
	maxPastPlacements = 64
)

// pastPlacement is a placement that was replaced.
type pastPlacement struct {
	placement  *Placement
	replacedBy Revision  // of the entry that replaced it
	replacedAt UnixMilli // state time then
}

// rememberPlacement keeps the placement that this entry replaces, and drops those
// that are too old.
func (s *State) rememberPlacement(old *Placement) {
	kept := make([]pastPlacement, 0, len(s.pastPlacements)+1) // a snapshot has the old list
	for _, p := range s.pastPlacements {
		if s.time-p.replacedAt < placementMemory {
			kept = append(kept, p)
		}
	}
	if len(old.brokers) > 0 {
		kept = append(kept, pastPlacement{old, s.revision, s.time})
	}
	if over := len(kept) - maxPastPlacements; over > 0 {
		s.pastPlacementsCut = kept[over-1].replacedAt
		kept = kept[over:]
	} else if len(kept) == 0 || s.time-s.pastPlacementsCut >= placementMemory {
		s.pastPlacementsCut = 0 // or it would be in the hash and not in a checkpoint
	}
	s.pastPlacements = kept
}

// FormerLeader is a broker to which clients of a partition may have sent.
type FormerLeader struct {
	Broker BrokerID
	Until  Revision // of the entry with which it lost the partition
}

// FormerLeaders returns the brokers to which clients of a zone that send records
// of a partition to self may have sent before, sorted by id: the zone's former
// leaders and, where self is not its leader, the current one, with the current
// revision. whole is false where there were more changes than are kept.
func (s *State) FormerLeaders(tp TopicPartition, zone ZoneID, self BrokerID) (from []FormerLeader, whole bool) {
	last := map[BrokerID]Revision{s.placement.Leader(tp, zone): s.revision}
	for _, p := range s.pastPlacements {
		if s.time-p.replacedAt < placementMemory {
			b := p.placement.Leader(tp, zone)
			last[b] = max(last[b], p.replacedBy)
		}
	}
	delete(last, self)
	delete(last, NoBroker)
	for _, b := range slices.Sorted(maps.Keys(last)) {
		from = append(from, FormerLeader{b, last[b]})
	}
	return from, s.pastPlacementsCut == 0 || s.time-s.pastPlacementsCut >= placementMemory
}

// PlacementRevision returns the revision of the entry that made the current
// placement, as far as former placements are kept; 0 before.
func (s *State) PlacementRevision() Revision {
	if n := len(s.pastPlacements); n > 0 {
		return s.pastPlacements[n-1].replacedBy
	}
	return 0
}

// hasSameLeaders reports whether two placements have the same leaders.
func (p *Placement) hasSameLeaders(o *Placement) bool {
	return slices.Equal(p.zones, o.zones) && p.hasSameBrokers(o)
}

func (p *Placement) hasSameBrokers(o *Placement) bool {
	return slices.Equal(p.brokers, o.brokers) && maps.Equal(p.zoneOf, o.zoneOf)
}

// writePastPlacements writes the last part of a checkpoint's root, which is left
// out where it is empty.
func (w *writer) writePastPlacements(s *State) {
	if len(s.pastPlacements) == 0 {
		return
	}
	w.u64(uint64(s.pastPlacementsCut))
	w.uvarint(uint64(len(s.pastPlacements)))
	for _, p := range s.pastPlacements {
		w.u64(uint64(p.replacedBy))
		w.u64(uint64(p.replacedAt))
		w.writePlacement(s, p.placement)
	}
}

// writePlacement writes a placement's brokers and their zones.
func (w *writer) writePlacement(s *State, p *Placement) {
	w.uvarint(uint64(len(p.brokers)))
	for _, b := range p.brokers {
		w.u32(uint32(b))
		w.uvarint(uint64(slices.Index(s.zones, p.zoneOf[b]))) // zones are never removed
	}
}

// readPlacement returns nil, and fails, where a broker has an unknown zone. The
// state's zones are read before.
func (r *reader) readPlacement(s *State) *Placement {
	var sessions []SessionView
	for range r.Count(5, "brokers") {
		b, zone := BrokerID(r.Uint32()), r.Uvarint()
		if zone >= uint64(len(s.zones)) {
			r.Fail("broker in unknown zone %d", zone)
			return nil
		}
		sessions = append(sessions, SessionView{Broker: b, Open: OpenSession{Zone: s.zones[zone]}})
	}
	return newPlacement(s.zones, sessions)
}

func (r *reader) readPastPlacements(s *State) {
	if r.Remaining() == 0 {
		return
	}
	s.pastPlacementsCut = UnixMilli(r.Uint64())
	for range r.Count(17, "placements") {
		p := pastPlacement{replacedBy: Revision(r.Uint64()), replacedAt: UnixMilli(r.Uint64())}
		if p.placement = r.readPlacement(s); p.placement == nil {
			return
		}
		s.pastPlacements = append(s.pastPlacements, p)
	}
}

// hashPastPlacements adds the former placements to the state's hash.
func (s *State) hashPastPlacements(m Hash) Hash {
	for _, p := range s.pastPlacements {
		m = m.Word(uint64(p.replacedBy)).Word(uint64(p.replacedAt)).Word(uint64(s.pastPlacementsCut))
		m = m.Word(p.placement.hash)
	}
	return m
}
