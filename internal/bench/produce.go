package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// produceStats is what the producers of a run have done. Callbacks of all of them
// fill it in.
type produceStats struct {
	sent    atomic.Int64 // taken by the client
	records atomic.Int64 // acknowledged
	bytes   atomic.Int64 // of values acknowledged

	mu          sync.Mutex // guards what follows
	latency     Histogram
	errors      map[string]int64
	firstFailed map[lineage]uint64 // lowest number that failed: what follows cannot be held against anybody
	failedCount map[lineage]uint64 // how many failed
	acked       map[lineage]uint64 // highest number acknowledged + 1
}

func newProduceStats() *produceStats {
	return &produceStats{errors: map[string]int64{}, firstFailed: map[lineage]uint64{}, failedCount: map[lineage]uint64{}, acked: map[lineage]uint64{}}
}

func (p *produceStats) recordResult(l lineage, number uint64, took time.Duration, size int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.errors[errorName(err)]++
		p.failedCount[l]++
		if at, ok := p.firstFailed[l]; !ok || number < at {
			p.firstFailed[l] = number
		}
		return
	}
	p.latency.Add(took)
	p.records.Add(1)
	p.bytes.Add(int64(size))
	p.acked[l] = max(p.acked[l], number+1)
}

// errorName drops what differs from one error to the next.
func errorName(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		err = e
	}
	return err.Error()
}

// acknowledged is what a consumer must find: of each lineage the numbers
// acknowledged, up to the first one that failed.
func (p *produceStats) acknowledged() map[lineage]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[lineage]uint64, len(p.acked))
	for l, n := range p.acked {
		if at, ok := p.firstFailed[l]; ok {
			n = min(n, at)
		}
		out[l] = n
	}
	return out
}

func (c *Config) producerOptions(i int) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Bootstrap[i%len(c.Bootstrap)]), kgo.ClientID(fmt.Sprintf("%s-producer-%d", c.ClientID, i)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(c.Linger), kgo.ProducerBatchMaxBytes(int32(c.BatchBytes)),
		kgo.MaxBufferedRecords(max(10_000, 64<<20/c.RecordBytes)), kgo.RecordDeliveryTimeout(2 * time.Minute),
	}
	switch c.Acks {
	case "all":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "one":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	case "none":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()))
	default:
		return nil, fmt.Errorf("acks %q: want all, one or none", c.Acks)
	}
	codec, ok := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[c.Compression]
	if !ok {
		return nil, fmt.Errorf("compression %q: want none, gzip, snappy, lz4 or zstd", c.Compression)
	}
	opts = append(opts, kgo.ProducerBatchCompression(codec))
	if !c.Idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	if c.InFlight > 0 {
		opts = append(opts, kgo.MaxProduceRequestsInflightPerBroker(c.InFlight))
	}
	return opts, nil
}

// runProducer sends its share of the run, and waits for every answer.
func (r *runner) runProducer(ctx context.Context, i int) error {
	opts, err := r.producerOptions(i)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("start producer %d: %w", i, err)
	}
	defer client.Close()
	source, table := rand.New(rand.NewPCG(r.id, uint64(i)+1)), castagnoli()
	numbers := make([]uint64, r.partitions)
	pace := newPacer(r.Rate/float64(r.Producers), time.Now())
	for k := i; ctx.Err() == nil; k++ {
		due, ok := pace.waitDue(ctx)
		if !ok || r.Records > 0 && r.produceStats.sent.Add(1) > r.Records {
			break
		}
		partition := k % r.partitions
		s := recordStamp{r.id, uint32(i), numbers[partition], due}
		numbers[partition]++
		value := r.filler.newValue(source, r.RecordBytes)
		s.encode(value, table)
		l := lineage{r.id, uint32(i), int32(partition)}
		record := &kgo.Record{Topic: r.Topic, Partition: int32(partition), Value: value}
		client.Produce(context.WithoutCancel(ctx), record, func(sent *kgo.Record, err error) {
			r.produceStats.recordResult(l, s.number, time.Since(due), len(sent.Value), err)
		})
	}
	if err := client.Flush(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("flush producer %d: %w", i, err)
	}
	return nil
}

// pacer determines when the next record is due. A sender that falls behind
// sends at once, and the delay counts as latency.
type pacer struct {
	begin    time.Time
	interval time.Duration // 0: flat out
	count    int64
}

func newPacer(perSecond float64, begin time.Time) *pacer {
	p := &pacer{begin: begin}
	if perSecond > 0 {
		p.interval = time.Duration(float64(time.Second) / perSecond)
	}
	return p
}

// waitDue waits until the next record is due; false where ctx ended first.
func (p *pacer) waitDue(ctx context.Context) (due time.Time, ok bool) {
	if p.interval == 0 {
		return time.Now(), true
	}
	due = p.begin.Add(time.Duration(p.count) * p.interval)
	p.count++
	if wait := time.Until(due); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return due, false
		}
	}
	return due, true
}
