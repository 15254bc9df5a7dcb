package node

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// billingBucket counts the PUTs of WAL objects that S3 would bill.
type billingBucket struct {
	bucket.Bucket
	puts atomic.Uint64
}

func (b *billingBucket) Put(ctx context.Context, name string, body []byte) error {
	if strings.Contains(name, "/wal/") {
		ctx = bucket.WithObserver(ctx, func(a bucket.Attempt) {
			if a.Billable() {
				b.puts.Add(1)
			}
		})
	}
	return b.Bucket.Put(ctx, name, body)
}

// bookedPuts is what the ledger has of PUTs, in whole requests.
func bookedPuts(n *Node) (wal, platform uint64) {
	n.replica.View(func(s *metadata.State) {
		for _, c := range s.Ledger(0, s.Time()+1).Cells {
			switch c.Key.Component {
			case costkeys.ComponentPut, costkeys.ComponentPutHedge:
				wal += c.Quantity.Lo
			case costkeys.ComponentPutPlatform:
				platform += c.Quantity.Lo
			}
		}
	})
	return wal / costkeys.NanoRequests, platform / costkeys.NanoRequests
}

// A session is lost while one object waits in the bucket for its entry and others
// are on their way. S3 bills their PUTs though no entry will name them: the next
// session reports them, once.
func TestPutsOfALostSessionAreBooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, 100*time.Millisecond)
		billed := &billingBucket{Bucket: c.bucket}
		c.bucket = billed
		c.log.Latency = 300 * time.Millisecond
		c.config = func(cfg *Config) { // no other PUTs
			cfg.Times.Archive, cfg.Times.Checkpoint = time.Hour, time.Hour
		}
		other := c.start("other", "b")
		n := c.start("losing", "a")
		defer c.close()
		tp := metadata.TopicPartition{Topic: c.topic(n, 4)}
		time.Sleep(time.Second)
		c.send(n, tp, nil)
		time.Sleep(2 * time.Second)
		before, _ := bookedPuts(other)
		if before != billed.puts.Load() || before == 0 {
			t.Fatalf("%d PUTs are booked, %d are billed", before, billed.puts.Load())
		}

		for i := range metadata.Partition(3) { // an object every 110 ms: one in an entry that is not there yet, one stored, one on its way
			p := tp
			p.Partition = 1 + i
			if _, err := n.writer.Append(t.Context(), plainBatch(t, p, "a", nil)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(110 * time.Millisecond)
		}
		c.log.ExpireSession(n.currentSession.Load().log.ID())
		time.Sleep(time.Minute)
		inEntries, platform := bookedPuts(other)
		if lost := billed.puts.Load() - before; lost < 2 || inEntries != before || platform != lost {
			t.Errorf("%d PUTs are in entries and %d are the platform's; S3 bills %d, %d of them before the loss", inEntries, platform, before+lost, before)
		}
	})
}
