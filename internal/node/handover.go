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

// handover keeps the order of producers without idempotence across a move of
// their partition's hint. Before the first batch of a partition that a connection
// brings after a change of the placement, the brokers that the producer may have
// sent to before are asked to finish what they have of it. It is asked for each
// connection, since clients hear of a move at any time within the minutes that they
// keep metadata. Where that takes longer than handoverPatience, the batch goes
// ahead and the order is counted as at risk.
type handover struct {
	n *Node

	mu      sync.Mutex
	passed  map[handoverKey]metadata.Revision // the placement under which a connection's last batch passed
	asking  map[metadata.TopicPartition][]chan struct{}
	silent  map[metadata.BrokerID]time.Time // brokers that did not answer, and when
	drained uint64                          // answers that a partition is finished elsewhere
	atRisk  uint64                          // batches that went ahead without one
}

// handoverKey is a connection and a partition. The pointer is weak: a connection
// that is gone, and the buffers that it refers to, are not kept for it.
type handoverKey struct {
	feed weak.Pointer[wal.ConnectionActivity]
	tp   metadata.TopicPartition
}

const (
	// handoverPatience bounds how long a batch waits for other brokers.
	handoverPatience = time.Second
	// silentTime is how long a broker that did not answer is not asked again: a
	// request may bring many partitions, and none of them is to wait for it anew.
	silentTime = 2 * time.Second
	// maxPassed bounds what is remembered of connections. At the limit all is
	// forgotten, and others are asked once more.
	maxPassed = 50_000
)

func newHandover(n *Node) *handover {
	return &handover{n: n, passed: map[handoverKey]metadata.Revision{}, asking: map[metadata.TopicPartition][]chan struct{}{}, silent: map[metadata.BrokerID]time.Time{}}
}

// begin returns when a batch without producer id may be appended here. The caller
// calls done once it is appended: until then other brokers that ask this one to
// finish the partition wait for it, too.
func (h *handover) begin(ctx context.Context, b *wal.Batch) (done func()) {
	tp := b.Partition
	key := handoverKey{tp: tp}
	if b.Activity != nil {
		key.feed = weak.Make(b.Activity)
	}
	var placed metadata.Revision
	h.n.replica.View(func(s *metadata.State) { placed = s.PlacedAt() })
	h.mu.Lock()
	since, known := h.passed[key]
	if b.Activity != nil && known && since == placed {
		h.mu.Unlock()
		return func() {}
	}
	done = h.enter(tp)
	h.mu.Unlock()
	placed, whole := h.settle(ctx, tp, b.Zone, since)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !whole {
		h.atRisk++
		if w := h.n.writer.wal.Load(); w != nil {
			w.NoteOrderAtRisk(1)
		}
	}
	if b.Activity != nil {
		if len(h.passed) >= maxPassed {
			clear(h.passed)
		}
		h.passed[key] = placed
	}
	return done
}

// enter notes a batch that waits to be appended. It is called with the mutex held.
func (h *handover) enter(tp metadata.TopicPartition) (done func()) {
	c := make(chan struct{})
	h.asking[tp] = append(h.asking[tp], c)
	return func() {
		close(c)
		h.mu.Lock()
		defer h.mu.Unlock()
		var rest []chan struct{}
		for _, o := range h.asking[tp] {
			if o != c {
				rest = append(rest, o)
			}
		}
		if h.asking[tp] = rest; len(rest) == 0 {
			delete(h.asking, tp)
		}
	}
}

// settle asks everybody to whom the zone's clients of the partition may have sent
// since a revision. It returns which placement that was about, and false where the
// order is at risk.
func (h *handover) settle(ctx context.Context, tp metadata.TopicPartition, zone metadata.ZoneID, since metadata.Revision) (placed metadata.Revision, whole bool) {
	ctx, cancel := context.WithTimeout(ctx, handoverPatience)
	defer cancel()
	// The client may know of changes that are not applied here yet.
	current := h.n.replica.Barrier(ctx) == nil
	from, placed, whole := h.former(tp, zone)
	whole = whole && current
	var wg sync.WaitGroup
	failed := make([]bool, len(from))
	for i, f := range from {
		if f.Until > since {
			wg.Go(func() { failed[i] = !h.drainAt(ctx, f.Broker, tp) })
		}
	}
	wg.Wait()
	for _, one := range failed {
		whole = whole && !one
	}
	return placed, whole
}

func (h *handover) former(tp metadata.TopicPartition, zone metadata.ZoneID) (from []metadata.FormerLeader, placed metadata.Revision, whole bool) {
	self := h.n.self()
	h.n.replica.View(func(s *metadata.State) {
		from, whole = s.FormerLeaders(tp, zone, self)
		placed = s.PlacedAt()
	})
	return from, placed, whole
}

// drainAt has one broker finish what it has of a partition. One whose session has
// ended has nothing that could still commit.
func (h *handover) drainAt(ctx context.Context, broker metadata.BrokerID, tp metadata.TopicPartition) bool {
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
	last, silent := h.silent[broker]
	h.mu.Unlock()
	if h.n.cfg.Peers == nil || silent && time.Since(last) < silentTime {
		return false
	}
	err := h.n.cfg.Peers.DrainPartition(ctx, peer, tp)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.silent[broker] = time.Now()
		h.n.cfg.Logger.Info("another broker did not finish a partition that has moved here: producers without idempotence may have lost their order",
			"broker", broker, "topic", tp.Topic, "partition", tp.Partition, "err", err)
		return false
	}
	delete(h.silent, broker)
	h.drained++
	return true
}

// Handovers returns how often another broker has finished a partition for this one,
// and how many batches went ahead without: their order is at risk.
func (n *Node) Handovers() (finished, atRisk uint64) {
	h := n.writer.moves
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.drained, h.atRisk
}

// drainHere finishes what this broker has of a partition, for a broker to which
// its hint has moved: what its WAL has, and what waits before the WAL for others.
func (h *handover) drainHere(ctx context.Context, tp metadata.TopicPartition) error {
	h.mu.Lock()
	waiting := append([]chan struct{}(nil), h.asking[tp]...)
	h.mu.Unlock()
	for _, c := range waiting {
		select {
		case <-c:
		case <-ctx.Done():
			return fmt.Errorf("finish partition %s/%d: %w", tp.Topic, tp.Partition, ctx.Err())
		}
	}
	present := h.n.writer.wal.Load()
	if present == nil {
		return nil // no session: nothing of it can be pending
	}
	return present.DrainPartition(ctx, tp)
}
