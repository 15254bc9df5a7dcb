package router

import (
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// View is an immutable snapshot of the brokers and their addresses, as of one
// revision. A broker builds a new one when the session list has changed.
//
// healthy, a parameter of several functions, reports whether a peer responds
// (Prober.Healthy); nil means that all do. A peer that does not is skipped as
// long as there is another; the result is NoBroker only where the cluster has
// no session at all.
type View struct {
	cluster   metadata.ClusterID
	revision  metadata.Revision
	placement *metadata.Placement
	zones     map[metadata.ZoneID]int // place in the order of appearance
	brokers   []metadata.SessionView  // all open sessions, by broker id
	serving   []metadata.SessionView  // those in the placement; all where there are none
}

// Endpoint is a broker as presented to the clients of one zone.
type Endpoint struct {
	ID   metadata.BrokerID
	Host string
	Port int32
	Rack metadata.ZoneID // where the broker is
}

// NewView makes the view of a state. Call it in Replica.View; it keeps nothing
// that the state may change.
func NewView(s *metadata.State) *View {
	v := &View{cluster: s.ClusterID(), revision: s.Revision(), placement: s.Placement(), zones: map[metadata.ZoneID]int{}, brokers: s.Sessions()}
	for k, z := range s.Zones() {
		v.zones[z] = k
	}
	for _, b := range v.brokers {
		if !b.Draining {
			v.serving = append(v.serving, b)
		}
	}
	if len(v.serving) == 0 {
		v.serving = v.brokers
	}
	return v
}

// Cluster returns the cluster's id; zero before its first session.
func (v *View) Cluster() metadata.ClusterID { return v.cluster }

// Revision returns the revision of the view.
func (v *View) Revision() metadata.Revision { return v.revision }

// Endpoint returns where clients of a zone reach a broker: its port P for those
// without a zone (or of a zone that the cluster never had), P+1+k for the
// cluster's k-th zone, or what the broker's session has instead. An unknown
// broker has no host, and port -1 as in Kafka.
func (v *View) Endpoint(broker metadata.BrokerID, zone metadata.ZoneID) (host string, port int32) {
	i, ok := slices.BinarySearchFunc(v.brokers, broker, func(s metadata.SessionView, b metadata.BrokerID) int { return int(s.Broker) - int(b) })
	if !ok {
		return "", -1
	}
	return v.endpointOf(&v.brokers[i], zone)
}

func (v *View) endpointOf(s *metadata.SessionView, zone metadata.ZoneID) (host string, port int32) {
	return s.Open.Kafka.Host, ZonePort(s.Open, v.zoneIndex(zone))
}

// zoneIndex returns the zone's place in the order of appearance, or -1.
func (v *View) zoneIndex(zone metadata.ZoneID) int {
	if k, ok := v.zones[zone]; ok {
		return k
	}
	return -1
}

// ZonePort is the port at which a broker serves clients of the cluster's k-th
// zone; k = -1: those without a zone. A session that lists its ports has no
// others: zones beyond the list share the port without a zone. Brokers listen
// by the same rule.
func ZonePort(o metadata.OpenSession, k int) int32 {
	switch {
	case k >= 0 && k < len(o.ZonePorts):
		return o.ZonePorts[k]
	case k >= 0 && len(o.ZonePorts) == 0:
		return o.Kafka.Port + 1 + int32(k)
	}
	return o.Kafka.Port
}

// Brokers lists the brokers for clients of a zone, sorted by id: all that are
// not draining, in whatever zone, at this zone's address.
func (v *View) Brokers(zone metadata.ZoneID) []Endpoint {
	out := make([]Endpoint, len(v.serving))
	for i := range v.serving {
		b := &v.serving[i]
		host, port := v.endpointOf(b, zone)
		out[i] = Endpoint{b.Broker, host, port, b.Open.Zone}
	}
	return out
}

// Peers returns the other brokers of a zone, draining ones too, by id: those
// that a broker probes.
func (v *View) Peers(self metadata.BrokerID, zone metadata.ZoneID) []Peer {
	var out []Peer
	for _, b := range v.brokers {
		if b.Broker != self && b.Open.Zone == zone {
			out = append(out, Peer{b.Broker, b.Open.Peer})
		}
	}
	return out
}

// ZoneOf returns the zone of a broker.
func (v *View) ZoneOf(broker metadata.BrokerID) (metadata.ZoneID, bool) {
	for _, b := range v.brokers {
		if b.Broker == broker {
			return b.Open.Zone, true
		}
	}
	return metadata.UnknownZone, false
}

// HasZone reports whether a zone has a broker that is not draining: where it
// has none, what its clients send crosses zones.
func (v *View) HasZone(zone metadata.ZoneID) bool { return v.placement.InZone(zone) }

// Leader returns the hint for clients of a zone: the placement's, or the next
// healthy broker of the zone, or of another one.
func (v *View) Leader(tp metadata.TopicPartition, zone metadata.ZoneID, healthy func(metadata.BrokerID) bool) metadata.BrokerID {
	first := v.placement.Leader(tp, zone)
	if first != metadata.NoBroker && (healthy == nil || healthy(first)) {
		return first
	}
	return v.firstHealthy(v.placement.RankedBrokers(tp, zone), v.placement.RankedBrokers(tp, metadata.UnknownZone), healthy)
}

// firstHealthy returns the first healthy one of near, then of far; where none
// is, the first of near, or any session.
func (v *View) firstHealthy(near, far []metadata.BrokerID, healthy func(metadata.BrokerID) bool) metadata.BrokerID {
	for _, list := range [][]metadata.BrokerID{near, far} {
		for _, b := range list {
			if healthy == nil || healthy(b) {
				return b
			}
		}
	}
	switch {
	case len(near) > 0:
		return near[0]
	case len(v.serving) > 0: // all are draining
		return v.serving[0].Broker
	}
	return metadata.NoBroker
}

// Replicas returns the brokers shown as replicas and in-sync replicas: one per
// zone first, the same for every client. rf < 1 means one per zone.
func (v *View) Replicas(tp metadata.TopicPartition, rf int) []metadata.BrokerID {
	if rf < 1 {
		rf = max(1, len(v.zones))
	}
	if out := v.placement.Replicas(tp, rf); len(out) > 0 {
		return out
	}
	out := make([]metadata.BrokerID, 0, rf)
	for _, b := range v.serving[:min(rf, len(v.serving))] {
		out = append(out, b.Broker)
	}
	return out
}

// Controller returns the broker that clients of a zone should use as the
// cluster's controller: any can do its work, so it is one of the zone where
// there is one.
func (v *View) Controller(zone metadata.ZoneID, healthy func(metadata.BrokerID) bool) metadata.BrokerID {
	return v.firstHealthy(v.placement.Brokers(zone), v.placement.Brokers(metadata.UnknownZone), healthy)
}

// hashSeedCoordinator separates this use of the hash from others. Brokers need
// not agree on it.
const hashSeedCoordinator metadata.Hash = 0xc0a7d1e55a3f9b27

// Coordinator returns the broker that clients of a zone should use as the
// coordinator of a key, where any broker will do (transactional ids).
func (v *View) Coordinator(key string, zone metadata.ZoneID, healthy func(metadata.BrokerID) bool) metadata.BrokerID {
	return v.firstHealthy(rankBrokers(hashSeedCoordinator.Text(key), v.placement.Brokers(zone)),
		rankBrokers(hashSeedCoordinator.Text(key), v.placement.Brokers(metadata.UnknownZone)), healthy)
}

// rankBrokers sorts brokers by rendezvous with m, the winner first.
func rankBrokers(m metadata.Hash, brokers []metadata.BrokerID) []metadata.BrokerID {
	out := slices.Clone(brokers)
	weight := func(b metadata.BrokerID) uint64 { return m.Word(uint64(uint32(b))).Sum() }
	slices.SortFunc(out, func(a, b metadata.BrokerID) int {
		switch wa, wb := weight(a), weight(b); {
		case wa > wb:
			return -1
		case wa < wb:
			return 1
		}
		return int(a) - int(b)
	})
	return out
}
