package broker

import (
	"slices"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// cachedRouterView is the router's picture, and what it was taken of: it holds as
// long as the placement does, which is replaced whenever a session changes.
type cachedRouterView struct {
	*router.View
	placement *metadata.Placement
	zones     int
}

// clusterView is who can be named in an answer.
type clusterView struct {
	router    *router.View
	isHealthy func(metadata.BrokerID) bool
}

// currentView returns the picture of the present placement.
func (s *Server) currentView() *clusterView {
	var out *router.View
	s.cfg.Replica.View(func(st *metadata.State) {
		c := s.routerView.Load()
		if c == nil || c.placement != st.Placement() || c.zones != len(st.Zones()) {
			c = &cachedRouterView{router.NewView(st), st.Placement(), len(st.Zones())}
			s.routerView.Store(c)
		}
		out = c.View
	})
	return &clusterView{out, s.cfg.Healthy}
}

// clusterID is the cluster's id in Kafka's form, or empty before the cluster's
// first session.
func (c *clusterView) clusterID() string {
	if id := c.router.Cluster(); !id.IsZero() {
		return id.String()
	}
	return ""
}

// leader returns the hint for clients of a zone.
func (c *clusterView) leader(tp metadata.TopicPartition, zone metadata.ZoneID) metadata.BrokerID {
	return c.router.Leader(tp, zone, c.isHealthy)
}

// replicas names as many brokers as the replication factor says, fewer where
// there are fewer; the same whoever asks.
func (c *clusterView) replicas(tp metadata.TopicPartition, rf int16) []int32 {
	in := c.router.Replicas(tp, int(rf))
	out := make([]int32, len(in))
	for i, b := range in {
		out[i] = int32(b)
	}
	return out
}

// replicasWithLeader is replicas, with the leader that clients of a zone are told
// among them, as in Kafka: of fewer replicas than zones it takes the last one's
// place.
func (c *clusterView) replicasWithLeader(tp metadata.TopicPartition, rf int16, leader int32) []int32 {
	out := c.replicas(tp, rf)
	if n := len(out); n > 0 && leader >= 0 && !slices.Contains(out, leader) {
		out[n-1] = leader
	}
	return out
}

// designatedReplica returns the one broker that answers for a partition where tools add
// up what all brokers say.
func (c *clusterView) designatedReplica(tp metadata.TopicPartition) metadata.BrokerID {
	for _, b := range c.router.Replicas(tp, 1) {
		return b
	}
	return metadata.NoBroker
}

// controller returns a live broker, in the zone where it has one.
func (c *clusterView) controller(zone metadata.ZoneID) metadata.BrokerID {
	return c.router.Controller(zone, c.isHealthy)
}

// brokers returns every broker with its address for clients of a zone.
func (c *clusterView) brokers(zone metadata.ZoneID) []router.Endpoint { return c.router.Brokers(zone) }

// brokerCount is how many brokers there are.
func (c *clusterView) brokerCount() int { return len(c.router.Brokers(metadata.UnknownZone)) }

// brokerEndpoint returns one broker with its address for clients of a zone.
func (c *clusterView) brokerEndpoint(id metadata.BrokerID, zone metadata.ZoneID) (router.Endpoint, bool) {
	host, port := c.router.Endpoint(id, zone)
	rack, ok := c.router.ZoneOf(id)
	return router.Endpoint{ID: id, Host: host, Port: port, Rack: rack}, ok
}

// hasBroker reports whether a broker is there.
func (c *clusterView) hasBroker(id metadata.BrokerID) bool {
	_, ok := c.router.ZoneOf(id)
	return ok
}
