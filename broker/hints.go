package broker

import (
	"slices"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// hints collects the leaders that an answer names beside error 6 (KIP-951),
// and the addresses of those it named.
type hints struct {
	s    *Server
	view *clusterView
	zone metadata.ZoneID
	ids  []metadata.BrokerID
}

func (s *Server) hints(r *request) *hints { return &hints{s: s, zone: r.from.Zone} }

// leader returns the hint for a partition, and remembers that it was named.
func (h *hints) leader(name string, id metadata.TopicID, index int32) (metadata.BrokerID, metadata.LeaderEpoch, bool) {
	if h.view == nil {
		h.view = h.s.view()
	}
	var epoch metadata.LeaderEpoch
	var tp metadata.TopicPartition
	ok := false
	h.s.cfg.Replica.View(func(st *metadata.State) {
		if t, known := lookTopic(st, name, id); known {
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

// named returns the brokers that were named.
func (h *hints) named() []router.Endpoint {
	var out []router.Endpoint
	for _, id := range h.ids {
		if n, ok := h.view.node(id, h.zone); ok {
			out = append(out, n)
		}
	}
	return out
}
