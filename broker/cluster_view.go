package broker

import (
	"slices"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// cachedRouterView is the router's view and its placement: it is valid as long
// as the placement, which every change of a session replaces.
type cachedRouterView struct {
	*router.View
	placement *metadata.Placement
	zones     int
}

// clusterView is the brokers that a response can contain.
type clusterView struct {
	router    *router.View
	isHealthy func(metadata.BrokerID) bool
}

// currentView returns the view of the current placement.
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

// clusterID is the cluster's id in Kafka's form; empty before the cluster's
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

// replicas returns as many brokers as the replication factor, fewer if there
// are fewer; the same for clients of all zones.
func (c *clusterView) replicas(tp metadata.TopicPartition, rf int16) []int32 {
	in := c.router.Replicas(tp, int(rf))
	out := make([]int32, len(in))
	for i, b := range in {
		out[i] = int32(b)
	}
	return out
}

// replicasWithLeader returns the replicas including the leader hint for clients
// of a zone, as in Kafka: with fewer replicas than zones the leader replaces
// the last one.
func (c *clusterView) replicasWithLeader(tp metadata.TopicPartition, rf int16, leader int32) []int32 {
	out := c.replicas(tp, rf)
	if n := len(out); n > 0 && leader >= 0 && !slices.Contains(out, leader) {
		out[n-1] = leader
	}
	return out
}

// designatedReplica returns the one broker that reports a partition when tools
// add up the responses of all brokers.
func (c *clusterView) designatedReplica(tp metadata.TopicPartition) metadata.BrokerID {
	for _, b := range c.router.Replicas(tp, 1) {
		return b
	}
	return metadata.NoBroker
}

// controller returns a live broker, in the client's zone if it has one.
func (c *clusterView) controller(zone metadata.ZoneID) metadata.BrokerID {
	return c.router.Controller(zone, c.isHealthy)
}

// brokers returns every broker with its address for clients of a zone.
func (c *clusterView) brokers(zone metadata.ZoneID) []router.Endpoint { return c.router.Brokers(zone) }

// brokerCount returns the number of brokers.
func (c *clusterView) brokerCount() int { return len(c.router.Brokers(metadata.UnknownZone)) }

// brokerEndpoint returns one broker with its address for clients of a zone.
func (c *clusterView) brokerEndpoint(id metadata.BrokerID, zone metadata.ZoneID) (router.Endpoint, bool) {
	host, port := c.router.Endpoint(id, zone)
	rack, ok := c.router.ZoneOf(id)
	return router.Endpoint{ID: id, Host: host, Port: port, Rack: rack}, ok
}

// hasBroker reports whether a broker is live.
func (c *clusterView) hasBroker(id metadata.BrokerID) bool {
	_, ok := c.router.ZoneOf(id)
	return ok
}
