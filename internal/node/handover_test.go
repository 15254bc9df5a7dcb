package node

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// Brokers join one after the other while the first one still has batches whose
// PUT takes its time. Whoever has become a partition's hint commits no batch of a
// producer without idempotence before those that it sent to the former ones:
// promise 5. Every broker here has really joined; nothing is set by hand.
func TestAJoiningBrokerLetsFormerHintsFinishFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, 400*time.Millisecond)
		defer c.close()
		first := c.start("one", "a")
		topic := c.topic(first, 32)
		second := c.start("two", "a")
		var between *metadata.Placement
		second.replica.View(func(s *metadata.State) { between = s.Placement() })
		c.start("three", "a") // from now on the placement that "two" joined by is one of the past
		moved, stayed := 0, 0
		for p := range metadata.Partition(32) {
			tp := metadata.TopicPartition{Topic: topic, Partition: p}
			leader := c.leader(tp, "a")
			// A client that heard of no change, and one that heard of the first.
			// For both, the connection to the leader is a new one.
			old := []*Node{first}
			if between.Leader(tp, "a") == second.Broker() {
				old = append(old, second)
			}
			var before []<-chan metadata.Offset
			var want []string
			for i, n := range old {
				before = append(before, c.send(n, tp, new(wal.ConnectionActivity)))
				if n != leader {
					want = append(want, []string{"one", "two"}[i])
				}
			}
			c.takeAsked(tp)
			activity := new(wal.ConnectionActivity)
			after := c.send(leader, tp, activity)
			requested := c.takeAsked(tp)
			slices.Sort(requested)
			if !slices.Equal(requested, want) {
				t.Errorf("partition %d: requested %v, want %v", p, requested, want)
			}
			if len(want) > 0 {
				moved++
			} else {
				stayed++
			}
			last := <-after
			for i, b := range before {
				if o := <-b; o >= last {
					t.Errorf("partition %d: offset %d of the batch sent before to %s, %d of the one after", p, o, []string{"one", "two"}[i], last)
				}
			}
			// The same connection again: the former leader was requested
			// for it.
			if <-c.send(leader, tp, activity); len(c.takeAsked(tp)) != 0 {
				t.Errorf("partition %d: requested again for the same connection", p)
			}
			// A connection of another client, which learns of the move
			// only now.
			late := c.send(first, tp, new(wal.ConnectionActivity))
			c.takeAsked(tp)
			then := c.send(leader, tp, new(wal.ConnectionActivity))
			if a, b := <-late, <-then; leader != first && a >= b {
				t.Errorf("partition %d: a client that moved later has offset %d before %d", p, a, b)
			}
		}
		if moved == 0 || stayed == 0 {
			t.Errorf("%d partitions moved, %d stayed", moved, stayed)
		}
		for name, n := range c.at {
			if got := n.orderAtRisk(); got != 0 {
				t.Errorf("%s: order at risk %d", name, got)
			}
		}
	})
}

// A broker that joins a zone where there was one already takes over clients without
// a zone from brokers of other zones, too.
func TestClientsWithoutAZoneAreHandedOverAcrossZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, 400*time.Millisecond)
		defer c.close()
		c.start("two", "b") // before the other, or it would have led in zone b, too
		first := c.start("one", "a")
		topic := c.topic(first, 32)
		var before *metadata.Placement
		first.replica.View(func(s *metadata.State) { before = s.Placement() })
		third := c.start("three", "b")
		checked := 0
		for p := range metadata.Partition(32) {
			tp := metadata.TopicPartition{Topic: topic, Partition: p}
			if before.Leader(tp, metadata.UnknownZone) != first.Broker() || c.leader(tp, metadata.UnknownZone) != third {
				continue
			}
			checked++
			old := c.sendFrom(first, tp, metadata.UnknownZone, new(wal.ConnectionActivity))
			now := c.sendFrom(third, tp, metadata.UnknownZone, new(wal.ConnectionActivity))
			if a, b := <-old, <-now; a >= b {
				t.Errorf("partition %d: offset %d before %d", p, a, b)
			}
			// And one that was sent past its zone's leader, for whatever reason.
			leader := c.leader(tp, "a")
			c.takeAsked(tp)
			old = c.send(leader, tp, new(wal.ConnectionActivity))
			now = c.send(third, tp, new(wal.ConnectionActivity))
			if a, b := <-old, <-now; a >= b || leader == third {
				t.Errorf("partition %d: offset %d before %d of a client that left its leader", p, a, b)
			}
		}
		if checked == 0 {
			t.Error("no partition moved so")
		}
	})
}

// A batch that has not reached the WAL because it waits for a third broker counts as
// pending, too.
func TestWhatWaitsForOneBrokerIsWaitedForByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, 400*time.Millisecond)
		defer c.close()
		first := c.start("one", "a")
		topic := c.topic(first, 64)
		second := c.start("two", "a")
		var tp metadata.TopicPartition
		var between *metadata.Placement
		second.replica.View(func(s *metadata.State) { between = s.Placement() })
		c.config = func(cfg *Config) { cfg.InlineLimit = func() int { return metadata.MaxInlineBytes } } // it commits at once
		third := c.start("three", "a")
		for p := range metadata.Partition(64) {
			at := metadata.TopicPartition{Topic: topic, Partition: p}
			if between.Leader(at, "a") == second.Broker() && c.leader(at, "a") == third {
				tp = at
			}
		}
		if tp.Topic.IsZero() {
			t.Fatal("no partition moved twice")
		}
		a := c.send(first, tp, new(wal.ConnectionActivity))
		b := make(chan metadata.Offset, 1)
		go func() { b <- <-c.send(second, tp, new(wal.ConnectionActivity)) }() // waits for the first
		synctest.Wait()
		last := <-c.send(third, tp, new(wal.ConnectionActivity))
		if x, y := <-a, <-b; x >= y || y >= last {
			t.Errorf("offsets %d, %d, %d in the order in which they were sent", x, y, last)
		}
	})
}

// A former hint that does not answer holds up batches once, not once for every
// partition of a request, and every batch that went ahead is counted.
func TestABrokerThatDoesNotAnswerHoldsUpAHandOverOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, time.Millisecond)
		defer c.close()
		first := c.start("one", "a")
		topic := c.topic(first, 32)
		second := c.start("two", "a")
		c.mu.Lock()
		c.silent["one"] = true
		c.mu.Unlock()
		begun, moved, activity := time.Now(), uint64(0), new(wal.ConnectionActivity)
		var acks []<-chan metadata.Offset
		for p := range metadata.Partition(32) {
			if tp := (metadata.TopicPartition{Topic: topic, Partition: p}); c.leader(tp, "a") == second {
				acks = append(acks, c.send(second, tp, activity))
				moved++
			}
		}
		if took := time.Since(begun); moved < 2 || took != handoverTimeout {
			t.Errorf("%d partitions moved, and waited %v in all, want %v", moved, took, handoverTimeout)
		}
		if got := second.orderAtRisk(); got != moved {
			t.Errorf("order at risk %d, want %d", got, moved)
		}
		for _, a := range acks {
			<-a
		}
	})
}
