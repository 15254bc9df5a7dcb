package bench

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeStats is what the consumers of a run have read.
type consumeStats struct {
	records atomic.Int64
	bytes   atomic.Int64

	mu      sync.Mutex // guards what follows
	latency Histogram
	errors  map[string]int64
}

func newConsumeStats() *consumeStats { return &consumeStats{errors: map[string]int64{}} }

// addConsumer adds what one consumer has gathered by itself.
func (c *consumeStats) addConsumer(h *Histogram, errs map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latency.Merge(h)
	for k, n := range errs {
		c.errors[k] += n
	}
}

// offsets is where consumers begin, by partition.
type offsets map[int32]int64

// consumerOptions of consumer i of n: by a group, or its share of partitions.
func (c *Config) consumerOptions(i int, from offsets) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Bootstrap[i%len(c.Bootstrap)]), kgo.ClientID(fmt.Sprintf("%s-consumer-%d", c.ClientID, i)),
		kgo.FetchMaxWait(500 * time.Millisecond), kgo.FetchMaxPartitionBytes(4 << 20),
	}
	if c.Group != "" {
		return append(opts, kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	mine := map[int32]kgo.Offset{}
	for p, at := range from {
		if int(p)%c.Consumers == i {
			mine[p] = kgo.NewOffset().At(at)
		}
	}
	return append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.Topic: mine}))
}

// runConsumer reads until ctx ends, or until stop returns true.
func (c *Config) runConsumer(ctx context.Context, i int, from offsets, v *verifier, out *consumeStats) error {
	if c.Group == "" && !hasShare(from, i, c.Consumers) {
		return nil
	}
	client, err := kgo.NewClient(c.consumerOptions(i, from)...)
	if err != nil {
		return fmt.Errorf("start consumer %d: %w", i, err)
	}
	defer client.Close()
	var latency Histogram
	errs := map[string]int64{}
	defer func() { out.addConsumer(&latency, errs) }()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		now := time.Now()
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil {
				errs[errorName(err)]++
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			due, ok := v.checkRecord(r.Partition, r.Offset, r.Value)
			if !ok {
				return
			}
			latency.Add(now.Sub(due))
			out.records.Add(1)
			out.bytes.Add(int64(len(r.Value)))
		})
	}
	return nil
}

func hasShare(from offsets, i, n int) bool {
	for p := range maps.Keys(from) {
		if int(p)%n == i {
			return true
		}
	}
	return false
}
