package node

import (
	"context"
	"fmt"
	"sync"
	"time"
	"weak"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// handover keeps the order of producers without idempotence when their
// partition's leader hint moves. Before the first batch of a partition that a
// connection brings after a change of the placement, the brokers to which the
// producer may have sent before are requested to finish what they have of it.
// This is done for each connection, since clients learn of a move at any time
// within the minutes for which they cache metadata. Where it takes longer than
// handoverTimeout, the batch goes ahead and the order is counted as at risk.
type handover struct {
	n *Node

	mu           sync.Mutex
	confirmedAt  map[handoverKey]metadata.Revision // the placement for which a connection's last batch was confirmed
	waiting      map[metadata.TopicPartition][]chan struct{}
	unresponsive map[metadata.BrokerID]time.Time // brokers that did not answer, and when
	drained      uint64                          // confirmations that a partition is finished at another broker
	atRisk       uint64                          // batches that went ahead without confirmation
}

// handoverKey is a connection and a partition. The pointer is weak: a closed
// connection and its buffers are not kept alive by it.
type handoverKey struct {
	connection weak.Pointer[wal.ConnectionActivity]
	tp         metadata.TopicPartition
}

const (
	// handoverTimeout bounds how long a batch waits for other brokers.
	handoverTimeout = time.Second
	// unresponsiveTime is how long a broker that did not respond is not
	// requested again: a request may bring many partitions, and each of
	// them would wait for it.
	unresponsiveTime = 2 * time.Second
	// maxConfirmed bounds what is kept of connections. At the limit all is
	// dropped, and other brokers are requested once more.
	maxConfirmed = 50_000
)

func newHandover(n *Node) *handover {
	return &handover{n: n, confirmedAt: map[handoverKey]metadata.Revision{}, waiting: map[metadata.TopicPartition][]chan struct{}{}, unresponsive: map[metadata.BrokerID]time.Time{}}
}

// awaitFormerLeaders returns when a batch without producer id may be appended
// here. The caller calls done once it is appended: until then, requests of
// other brokers to finish the partition wait for it, too.
func (h *handover) awaitFormerLeaders(ctx context.Context, b *wal.Batch) (done func()) {
	tp := b.Partition
	key := handoverKey{tp: tp}
	if b.Activity != nil {
		key.connection = weak.Make(b.Activity)
	}
	var placed metadata.Revision
	h.n.replica.View(func(s *metadata.State) { placed = s.PlacementRevision() })
	h.mu.Lock()
	since, known := h.confirmedAt[key]
	if b.Activity != nil && known && since == placed {
		h.mu.Unlock()
		return func() {}
	}
	done = h.addWaiting(tp)
	h.mu.Unlock()
	placed, whole := h.drainFormerLeaders(ctx, tp, b.Zone, since)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !whole {
		h.atRisk++
		if w := h.n.writer.wal.Load(); w != nil {
			w.NoteOrderAtRisk(1)
		}
	}
	if b.Activity != nil {
		if len(h.confirmedAt) >= maxConfirmed {
			clear(h.confirmedAt)
		}
		h.confirmedAt[key] = placed
	}
	return done
}

// addWaiting records a batch that waits to be appended. It is called with the
// mutex held.
func (h *handover) addWaiting(tp metadata.TopicPartition) (done func()) {
	c := make(chan struct{})
	h.waiting[tp] = append(h.waiting[tp], c)
	return func() {
		close(c)
		h.mu.Lock()
		defer h.mu.Unlock()
		var rest []chan struct{}
		for _, o := range h.waiting[tp] {
			if o != c {
				rest = append(rest, o)
			}
		}
		if h.waiting[tp] = rest; len(rest) == 0 {
			delete(h.waiting, tp)
		}
	}
}

// drainFormerLeaders sends a request to all brokers to which the zone's clients
// of the partition may have sent since a revision. It returns the placement for
// which that holds, and false where the order is at risk.
func (h *handover) drainFormerLeaders(ctx context.Context, tp metadata.TopicPartition, zone metadata.ZoneID, since metadata.Revision) (placed metadata.Revision, whole bool) {
	ctx, cancel := context.WithTimeout(ctx, handoverTimeout)
	defer cancel()
	// The client may have learned of changes that are not applied here yet.
	current := h.n.replica.Barrier(ctx) == nil
	from, placed, whole := h.findFormerLeaders(tp, zone)
	whole = whole && current
	var wg sync.WaitGroup
	failed := make([]bool, len(from))
	for i, f := range from {
		if f.Until > since {
			wg.Go(func() { failed[i] = !h.drainAtBroker(ctx, f.Broker, tp) })
		}
	}
	wg.Wait()
	for _, one := range failed {
		whole = whole && !one
	}
	return placed, whole
}

func (h *handover) findFormerLeaders(tp metadata.TopicPartition, zone metadata.ZoneID) (from []metadata.FormerLeader, placed metadata.Revision, whole bool) {
	self := h.n.brokerID()
	h.n.replica.View(func(s *metadata.State) {
		from, whole = s.FormerLeaders(tp, zone, self)
		placed = s.PlacementRevision()
	})
	return from, placed, whole
}

// drainAtBroker makes one broker finish what it has of a partition. A broker
// whose session has ended has nothing that could still commit.
func (h *handover) drainAtBroker(ctx context.Context, broker metadata.BrokerID, tp metadata.TopicPartition) bool {
	peer, open := "", false
	h.n.replica.View(func(s *metadata.State) {
		for _, o := range s.Sessions() {
			if o.Broker == broker {
				peer, open = o.Open.Peer, true
			}
		}
	})
	if !open {
		return true
	}
	h.mu.Lock()
	last, silent := h.unresponsive[broker]
	h.mu.Unlock()
	if h.n.cfg.Peers == nil || silent && time.Since(last) < unresponsiveTime {
		return false
	}
	err := h.n.cfg.Peers.DrainPartition(ctx, peer, tp)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.unresponsive[broker] = time.Now()
		h.n.cfg.Logger.Info("another broker did not drain a partition that moved here: records of non-idempotent producers may be out of order",
			"broker", broker, "topic", tp.Topic, "partition", tp.Partition, "err", err)
		return false
	}
	delete(h.unresponsive, broker)
	h.drained++
	return true
}

// Handovers returns how often another broker has finished a partition for this
// one, and how many batches went ahead without that: their order is at risk.
func (n *Node) Handovers() (finished, atRisk uint64) {
	h := n.writer.handover
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.drained, h.atRisk
}

// drainHere finishes what this broker has of a partition, for a broker to which
// the leader hint has moved: what its WAL has, and batches that wait before the
// WAL for other brokers.
func (h *handover) drainHere(ctx context.Context, tp metadata.TopicPartition) error {
	h.mu.Lock()
	waiting := append([]chan struct{}(nil), h.waiting[tp]...)
	h.mu.Unlock()
	for _, c := range waiting {
		select {
		case <-c:
		case <-ctx.Done():
			return fmt.Errorf("drain partition %s/%d: %w", tp.Topic, tp.Partition, ctx.Err())
		}
	}
	present := h.n.writer.wal.Load()
	if present == nil {
		return nil // no session: nothing of it can be pending
	}
	return present.DrainPartition(ctx, tp)
}
