package node

import (
	"context"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// handover keeps the order of producers without idempotence across a move:
// before a partition's new hint commits their first batch, the old one is
// asked to finish what it has of that partition. Where that takes longer than
// handoverPatience, the batch goes ahead and the order is counted as at risk.
type handover struct {
	n *Node

	mu       sync.Mutex
	present  *metadata.Placement
	previous *metadata.Placement
	settled  map[metadata.TopicPartition]*settling
}

// settling is one partition's hand-over under the present placement. done is
// closed when batches may pass.
type settling struct{ done chan struct{} }

// handoverPatience bounds how long a batch waits for the old broker.
const handoverPatience = time.Second

func newHandover(n *Node) *handover { return &handover{n: n} }

// settle returns when a batch without producer id may be appended here.
func (h *handover) settle(ctx context.Context, tp metadata.TopicPartition) {
	from, mine, s := h.begin(tp)
	if s == nil {
		return
	}
	if !mine {
		select {
		case <-s.done:
		case <-ctx.Done():
		}
		return
	}
	defer close(s.done)
	if from != metadata.NoBroker && !h.drain(ctx, from, tp) {
		if w := h.n.writer.wal.Load(); w != nil {
			w.NoteOrderAtRisk(1)
		}
	}
}

// begin tells who held the partition before, and whether the caller is the one
// to ask it. A nil settling means that nothing has moved.
func (h *handover) begin(tp metadata.TopicPartition) (from metadata.BrokerID, mine bool, s *settling) {
	var p *metadata.Placement
	h.n.replica.View(func(st *metadata.State) { p = st.Placement() })
	h.mu.Lock()
	defer h.mu.Unlock()
	if p != h.present {
		h.previous, h.present = h.present, p
		h.settled = map[metadata.TopicPartition]*settling{}
	}
	if h.previous == nil {
		return metadata.NoBroker, false, nil
	}
	from = h.previous.Leader(tp, h.n.cfg.Zone)
	if from == h.present.Leader(tp, h.n.cfg.Zone) || from == h.n.self() {
		return metadata.NoBroker, false, nil
	}
	if s = h.settled[tp]; s != nil {
		return from, false, s
	}
	s = &settling{done: make(chan struct{})}
	h.settled[tp] = s
	return from, true, s
}

// drain asks the old broker, or sees that its session is gone, and then
// applies what it may have committed.
func (h *handover) drain(ctx context.Context, from metadata.BrokerID, tp metadata.TopicPartition) bool {
	ctx, cancel := context.WithTimeout(ctx, handoverPatience)
	defer cancel()
	peer, open := "", false
	h.n.replica.View(func(s *metadata.State) {
		for _, o := range s.Sessions() {
			if o.Broker == from {
				peer, open = o.Open.Peer, true
			}
		}
	})
	if open {
		if h.n.cfg.Peers == nil || h.n.cfg.Peers.DrainPartition(ctx, peer, tp) != nil {
			return false
		}
	}
	return h.n.replica.Barrier(ctx) == nil
}
