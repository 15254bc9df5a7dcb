//go:build soak

package soak

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// stream is what one idempotent producer in each zone sends to a topic.
type stream struct {
	topic       string
	partitions  int32
	recordBytes int
	bytesPerSec float64 // of all zones; 0: as fast as it goes
	options     []kgo.Opt
}

// load is running streams.
type load struct {
	r       *rig
	stop    context.CancelFunc
	sending sync.WaitGroup
	clients []*kgo.Client
	pending atomic.Int64
	dead    atomic.Bool // its cluster was lost: what fails now says nothing
	full    atomic.Bool // the bucket is: flat-out streams wait
	// waited is how long flat-out streams waited for the bucket, in nanoseconds.
	waited atomic.Int64
}

// watchBucket lets flat-out streams wait while the bucket is larger than SOAK_BUCKET
// bytes: garbage collection follows them by half a minute, and the disk is shared.
func (l *load) watchBucket(ctx context.Context) {
	most := readNumber(l.r.t, "SOAK_BUCKET", 3<<30)
	for {
		content, err := l.r.listBucket(ctx)
		if err != nil && ctx.Err() == nil {
			l.r.history.Report("%v", err)
		}
		if err == nil {
			l.full.Store(content.bytes > most)
		}
		began := time.Now()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		if l.full.Load() {
			l.waited.Add(int64(time.Since(began)))
		}
	}
}

func (r *rig) startLoad(streams ...stream) *load {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{r: r, stop: cancel}
	r.t.Cleanup(cancel)
	l.sending.Go(func() { l.watchBucket(ctx) })
	for _, s := range streams {
		for z := range cluster.Zones {
			r.mu.Lock()
			number := r.producers
			r.producers++
			r.mu.Unlock()
			client := r.newClient(fmt.Sprintf("producer-%d", number), append([]kgo.Opt{kgo.SeedBrokers(r.c.WholeBootstrap(z)...),
				kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(4096),
				kgo.MaxBufferedBytes(8 << 20), kgo.ProducerLinger(5 * time.Millisecond)}, s.options...)...)
			l.clients = append(l.clients, client)
			l.sending.Go(func() { l.send(ctx, client, s, number) })
		}
	}
	return l
}

// send produces until ctx ends.
func (l *load) send(ctx context.Context, client *kgo.Client, s stream, number uint32) {
	seqs := make([]int64, s.partitions)
	began := time.Now()
	for k := int64(0); ctx.Err() == nil; k++ {
		for s.bytesPerSec == 0 && l.full.Load() && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
		if s.bytesPerSec > 0 {
			due := began.Add(time.Duration(float64(k) * float64(s.recordBytes) * cluster.Zones / s.bytesPerSec * float64(time.Second)))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return
			}
		}
		partition := int32(k % int64(s.partitions))
		id := RecordID{number, partition, seqs[partition]}
		seqs[partition]++
		l.pending.Add(1)
		made := time.Now()
		record := &kgo.Record{Topic: s.topic, Partition: partition, Timestamp: made, Key: l.r.source.Key(id), Value: l.r.source.Value(id, s.recordBytes)}
		client.Produce(context.Background(), record, func(got *kgo.Record, err error) {
			l.pending.Add(-1)
			switch {
			case err == nil:
				l.r.history.Acked(TopicPartition{s.topic, partition}, got.Offset, id, made, len(got.Key)+len(got.Value))
			case !l.dead.Load():
				l.r.history.GaveUp(id)
				l.r.history.Report("%s: %v was given up by its client: %v", s.topic, id, err)
			}
		})
	}
}

// finish stops the load and waits for the last acknowledgements.
func (l *load) finish() {
	l.r.t.Helper()
	l.stop()
	l.sending.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, k := range l.clients {
		if err := k.Flush(ctx); err != nil {
			l.r.t.Errorf("a minute after the load ended %d records are not acknowledged: %v", l.pending.Load(), err)
			break
		}
	}
	l.close()
}

// abandon ends the load at once, as its cluster is gone.
func (l *load) abandon() {
	l.dead.Store(true)
	l.stop()
	l.close()
	l.sending.Wait()
}

func (l *load) close() {
	for _, k := range l.clients {
		k.Close()
	}
}
