package metadata

import "strings"

// A broker keeps its id as long as it keeps its address: Kafka's clients hold
// a connection under a node id and do not look again where that id lives, so
// that an id must not pass from one address to another while somebody may
// still be connected there.

// brokerIDReservationTime is how long, in state time, the id of a broker that left is kept
// for its address: far beyond what clients keep metadata and idle connections
// (five and ten minutes by default).
const brokerIDReservationTime UnixMilli = 3600 * 1000

// brokerIDReservation is who had a broker id last.
type brokerIDReservation struct {
	address     Address
	expiresFrom UnixMilli // in state time
}

// chooseBrokerID chooses the id of a session that opens: the one asked for, or the
// address's own, or the lowest that nobody has and nobody may come back for.
// A session with the same address is a former life of the same broker: two
// processes cannot both be behind one address. It ends by this one's opening.
func (s *State) chooseBrokerID(open *OpenSession) (id BrokerID, former *sessionState, ok bool) {
	taken := map[BrokerID]bool{}
	for _, o := range s.sessions {
		if open.Kafka.Host != "" && o.open.Kafka == open.Kafka {
			former = o
			continue
		}
		taken[o.broker] = true
	}
	switch {
	case open.Want != NoBroker:
		return open.Want, former, open.Want >= 0 && !taken[open.Want]
	case former != nil:
		return former.broker, former, true
	}
	for _, id := range sortedKeys(s.brokerIDs) {
		if s.brokerIDs[id].address == open.Kafka && open.Kafka.Host != "" && !taken[id] {
			return id, nil, true
		}
	}
	for id = 0; taken[id] || s.reservedAddress(id) != (Address{}); id++ {
	}
	return id, nil, true
}

// reservedAddress is the address that an id without a session is kept for.
func (s *State) reservedAddress(id BrokerID) Address {
	if h, known := s.brokerIDs[id]; known && s.time-h.expiresFrom < brokerIDReservationTime {
		return h.address
	}
	return Address{}
}

// reserveBrokerID remembers whose id it was that a session leaves, and forgets what
// is older than the memory.
func (s *State) reserveBrokerID(o *sessionState) {
	for id, h := range s.brokerIDs {
		if s.time-h.expiresFrom >= brokerIDReservationTime {
			delete(s.brokerIDs, id)
		}
	}
	if a := o.open.Kafka; a.Host != "" && !strings.HasSuffix(a.Host, ".invalid") { // RFC 2606: a session of recover or repair
		s.brokerIDs[o.broker] = brokerIDReservation{a, s.time}
	}
}

// writeBrokerIDReservations and what follows is left out of a checkpoint's root where there is none.
func (w *writer) writeBrokerIDReservations(s *State) {
	if len(s.brokerIDs) == 0 && len(s.pastPlacements) == 0 {
		return
	}
	w.uvarint(uint64(len(s.brokerIDs)))
	for _, id := range sortedKeys(s.brokerIDs) {
		h := s.brokerIDs[id]
		w.u32(uint32(id))
		w.text(h.address.Host)
		w.u32(uint32(h.address.Port))
		w.u64(uint64(h.expiresFrom))
	}
}

func (r *reader) readBrokerIDReservations(s *State) {
	if r.Remaining() == 0 {
		return
	}
	for range r.Count(17, "broker id reservations") {
		id := BrokerID(r.Uint32())
		s.brokerIDs[id] = brokerIDReservation{Address{r.Text(), int32(r.Uint32())}, UnixMilli(r.Uint64())}
	}
}
