package metadata

import "strings"

// A broker keeps its id as long as it keeps its address. Kafka's clients keep a
// connection under a node id and do not resolve that id's address again. So an id
// must not move from one address to another while a client may still be connected
// to the first.

// brokerIDReservationTime is how long, in state time, the id of a broker that
// left is reserved for its address: far longer than clients keep metadata and
// idle connections (five and ten minutes by default).
const brokerIDReservationTime UnixMilli = 3600 * 1000

// brokerIDReservation is the last owner of a broker id.
type brokerIDReservation struct {
	address     Address
	expiresFrom UnixMilli // in state time
}

// chooseBrokerID chooses the id of a session that opens: the one in Want, or the
// one reserved for the address, or the lowest that is neither in use nor
// reserved. A session with the same address is an earlier run of the same broker,
// as two processes cannot both listen at one address; it ends when this one
// opens.
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

// reservedAddress is the address for which an id without a session is reserved.
func (s *State) reservedAddress(id BrokerID) Address {
	if h, known := s.brokerIDs[id]; known && s.time-h.expiresFrom < brokerIDReservationTime {
		return h.address
	}
	return Address{}
}

// reserveBrokerID reserves the id of a session that ends for its address, and
// drops reservations that have expired.
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

// writeBrokerIDReservations and the parts after it are left out of a checkpoint's
// root where they are empty.
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
