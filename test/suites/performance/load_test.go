//go:build performance

package performance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// ack is one acknowledged record: when it was due, and the latency from then.
type ack struct {
	due  time.Time
	took time.Duration
}

// load is a paced stream from one idempotent producer in each zone.
type load struct {
	topic      string
	partitions int
	perSecond  float64                // records, over all producers
	size       func(r *rand.Rand) int // of the next record
	options    []kgo.Opt
}

// runLoad sends for the given time, waits for every response, and returns the
// acks. A record that fails fails the test.
func (l load) runLoad(t *testing.T, c *cluster.Cluster, long time.Duration) []ack {
	t.Helper()
	var mu sync.Mutex
	var acks []ack
	var failed error
	var producers sync.WaitGroup
	for z := range cluster.Zones {
		client := newClient(t, c, z, l.options...)
		random := rand.New(rand.NewPCG(uint64(z), 7))
		every := time.Duration(float64(time.Second) * cluster.Zones / l.perSecond)
		producers.Go(func() {
			begin := time.Now().Add(every * time.Duration(z) / cluster.Zones)
			for k := 0; ; k++ {
				due := begin.Add(time.Duration(k) * every)
				time.Sleep(time.Until(due))
				if time.Since(begin) > long {
					break
				}
				value := make([]byte, l.size(random))
				for i := 0; i+8 <= len(value); i += 8 {
					value[i] = byte(random.Uint32())
				}
				record := &kgo.Record{Topic: l.topic, Partition: int32((k*cluster.Zones + z) % l.partitions), Value: value}
				client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
					took := time.Since(due)
					mu.Lock()
					defer mu.Unlock()
					acks = append(acks, ack{due, took})
					if err != nil && failed == nil {
						failed = err
					}
				})
			}
			if err := client.Flush(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	producers.Wait()
	if failed != nil {
		t.Fatalf("produce to %s: %v", l.topic, failed)
	}
	return acks
}

func newClient(t *testing.T, c *cluster.Cluster, z int, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	k, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ZoneBootstrap(z)...), kgo.ClientID(fmt.Sprintf("performance-%d", z)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression())}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func createTopic(t *testing.T, c *cluster.Cluster, topic string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := kadm.NewClient(newClient(t, c, 0)).CreateTopic(ctx, partitions, -1, nil, topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
}

func oneKiB(*rand.Rand) int { return 1024 }

func ackLatencies(acks []ack) (all []time.Duration) {
	for _, a := range acks {
		all = append(all, a.took)
	}
	return all
}
