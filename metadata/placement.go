package metadata

import "slices"

// Placement assigns hints to brokers, for one set of sessions that are open and
// not draining. It is immutable, and the same on every broker at the same
// revision; leader epochs rise exactly when a hint moves.
//
// A zone's leader for a partition is the rendezvous hash winner among the zone's
// brokers. For a zone without brokers, and clients of unknown zone, it is the
// winner among all brokers.
type Placement struct {
	zones   []ZoneID // in order of appearance, those without brokers too
	byZone  map[ZoneID][]BrokerID
	brokers []BrokerID
	zoneOf  map[BrokerID]ZoneID
	hash    uint64 // of brokers and their zones
}

func newPlacement(zones []ZoneID, sessions []SessionView) *Placement {
	p := &Placement{zones: slices.Clone(zones), byZone: map[ZoneID][]BrokerID{}, zoneOf: map[BrokerID]ZoneID{}}
	for _, s := range sessions { // sorted by broker id
		if s.Draining {
			continue
		}
		p.byZone[s.Open.Zone] = append(p.byZone[s.Open.Zone], s.Broker)
		p.zoneOf[s.Broker] = s.Open.Zone
		p.brokers = append(p.brokers, s.Broker)
	}
	m := hashSeedItem
	for _, b := range p.brokers {
		m = m.Word(uint64(uint32(b))).Text(string(p.zoneOf[b]))
	}
	p.hash = m.Sum()
	return p
}

// Zones returns the cluster's zones in order of appearance. Do not change it.
func (p *Placement) Zones() []ZoneID { return p.zones }

// Brokers returns the zone's brokers in the placement, or all of them where
// the zone is unknown or has none. Sorted; do not change it.
func (p *Placement) Brokers(zone ZoneID) []BrokerID {
	if in := p.byZone[zone]; len(in) > 0 {
		return in
	}
	return p.brokers
}

// InZone reports whether the zone has a broker in the placement.
func (p *Placement) InZone(zone ZoneID) bool { return len(p.byZone[zone]) > 0 }

// ZoneOf returns the zone of a broker in the placement.
func (p *Placement) ZoneOf(b BrokerID) (ZoneID, bool) {
	z, ok := p.zoneOf[b]
	return z, ok
}

// Leader returns the hint for clients of a zone: NoBroker only where the
// cluster has none.
func (p *Placement) Leader(tp TopicPartition, zone ZoneID) BrokerID {
	return chooseLeader(tp, p.Brokers(zone))
}

// RankedBrokers returns the zone's brokers (or all, as Brokers) in the order in
// which they would be the partition's hint: if the first does not answer, take
// the next.
func (p *Placement) RankedBrokers(tp TopicPartition, zone ZoneID) []BrokerID {
	return rankBrokers(tp, p.Brokers(zone))
}

// Replicas returns n brokers (fewer where there are fewer), one per zone first.
// The list is the same on every broker, and stable while the sessions are.
func (p *Placement) Replicas(tp TopicPartition, n int) []BrokerID {
	n = min(n, len(p.brokers))
	out := make([]BrokerID, 0, n)
	if len(p.zones) == 0 {
		return out
	}
	// Start at a zone that depends on the partition, so that lists shorter than
	// the number of zones are spread over them.
	turn := int(placementWeight(tp, NoBroker) % uint64(len(p.zones)))
	perZone := make([][]BrokerID, 0, len(p.zones))
	for i := range p.zones {
		if in := p.byZone[p.zones[(turn+i)%len(p.zones)]]; len(in) > 0 {
			perZone = append(perZone, rankBrokers(tp, in))
		}
	}
	for depth := 0; len(out) < n; depth++ {
		for _, in := range perZone {
			if depth < len(in) && len(out) < n {
				out = append(out, in[depth])
			}
		}
	}
	return out
}

func placementWeight(tp TopicPartition, b BrokerID) uint64 {
	return hashSeedPlace.Partition(tp).Word(uint64(uint32(b))).Sum()
}

func chooseLeader(tp TopicPartition, brokers []BrokerID) BrokerID {
	best, top := NoBroker, uint64(0)
	base := hashSeedPlace.Partition(tp)
	for _, b := range brokers {
		if w := base.Word(uint64(uint32(b))).Sum(); best == NoBroker || w > top {
			best, top = b, w
		}
	}
	return best
}

func rankBrokers(tp TopicPartition, brokers []BrokerID) []BrokerID {
	out := slices.Clone(brokers)
	slices.SortFunc(out, func(a, b BrokerID) int {
		wa, wb := placementWeight(tp, a), placementWeight(tp, b)
		switch {
		case wa > wb:
			return -1
		case wa < wb:
			return 1
		}
		return int(a) - int(b)
	})
	return out
}

// Placement returns the current placement. It never changes.
func (s *State) Placement() *Placement { return s.placement }
