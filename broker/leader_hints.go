package broker

import (
	"slices"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// leaderHints collects the leaders that an answer names beside error 6 (KIP-951),
// and the addresses of those it named.
type leaderHints struct {
	s    *Server
	view *clusterView
	zone metadata.ZoneID
	ids  []metadata.BrokerID
}

func (s *Server) newLeaderHints(r *request) *leaderHints {
	return &leaderHints{s: s, zone: r.evidence.Zone}
}

// addLeader returns the hint for a partition, and remembers that it was named.
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

// listEndpoints returns the brokers that were named.
func (h *leaderHints) listEndpoints() []router.Endpoint {
	var out []router.Endpoint
	for _, id := range h.ids {
		if n, ok := h.view.brokerEndpoint(id, h.zone); ok {
			out = append(out, n)
		}
	}
	return out
}
