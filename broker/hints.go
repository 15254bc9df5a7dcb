package broker

import (
	"context"
	"slices"
	"time"

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

// Delays of answers in which everything failed: they double from the first to
// the last, so that a client's retries do not become a storm.
const (
	firstPunish = 20 * time.Millisecond
	lastPunish  = time.Second
)

// punish delays an answer in which all failed. Only the writer calls it.
func (c *conn) punish(ctx context.Context, all bool) {
	if !all {
		c.refused = 0
		return
	}
	delay := min(firstPunish<<min(c.refused, 10), lastPunish)
	c.refused++
	if c.s.draining.Load() {
		return // the client is to go elsewhere, now
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
}

// barrierWait is how long a read barrier may take before the answer is an
// error.
const barrierWait = 5 * time.Second

// barrier makes what the handlers see no older than what any client was told
// before.
func (s *Server) barrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, barrierWait)
	defer cancel()
	return s.cfg.Replica.Barrier(ctx)
}
