package broker

import (
	"slices"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// leaderHints collects the leaders that a response contains with
// NOT_LEADER_OR_FOLLOWER (KIP-951), and their addresses.
type leaderHints struct {
	s    *Server
	view *clusterView
	zone metadata.ZoneID
	ids  []metadata.BrokerID
}

func (s *Server) newLeaderHints(r *request) *leaderHints {
	return &leaderHints{s: s, zone: r.evidence.Zone}
}

// addLeader returns the leader hint for a partition, and adds the broker to the
// list of endpoints.
func (h *leaderHints) addLeader(name string, id metadata.TopicID, index int32) (metadata.BrokerID, metadata.LeaderEpoch, bool) {
	if h.view == nil {
		h.view = h.s.currentView()
	}
	var epoch metadata.LeaderEpoch
	var tp metadata.TopicPartition
	ok := false
	h.s.cfg.Replica.View(func(st *metadata.State) {
		if t, known := lookupTopic(st, name, id); known {
			tp = metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(index)}
			var head metadata.PartitionView
			head, ok = st.Partition(tp)
			epoch = head.Epoch
		}
	})
	if !ok {
		return metadata.NoBroker, -1, false
	}
	leader := h.view.leader(tp, h.zone)
	if leader == metadata.NoBroker || leader == h.s.cfg.Self() {
		return metadata.NoBroker, -1, false
	}
	if !slices.Contains(h.ids, leader) {
		h.ids = append(h.ids, leader)
	}
	return leader, epoch, true
}

// listEndpoints returns the brokers that were added.
func (h *leaderHints) listEndpoints() []router.Endpoint {
	var out []router.Endpoint
	for _, id := range h.ids {
		if n, ok := h.view.brokerEndpoint(id, h.zone); ok {
			out = append(out, n)
		}
	}
	return out
}
