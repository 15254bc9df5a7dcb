package wal

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// billingBucket counts the billable PUTs of each name.
type billingBucket struct {
	bucket.Bucket
	mu   sync.Mutex // guards puts
	puts map[string]uint32
}

func (b *billingBucket) Put(ctx context.Context, name string, body []byte) error {
	b.mu.Lock()
	b.puts[name] += 0 // named, even where nothing is billed
	b.mu.Unlock()
	return b.Bucket.Put(bucket.WithObserver(ctx, func(a bucket.Attempt) {
		if a.Op == bucket.OpPut && a.Billable() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.puts[name]++
		}
	}), name, body)
}

// hangingStore is the real store over a bucket that takes its time, leaves
// some requests without an answer, and fails some.
func hangingStore(plan bucket.FaultPlan) (*s3stream.Store, *billingBucket, func()) {
	slow := bucket.Delay(bucket.NewMem(), func(op bucket.Op, name string, attempt int, size int64) time.Duration {
		d := 20*time.Millisecond + bucket.GenerateDuration(plan.Seed, "took", op, name, attempt, 40*time.Millisecond)
		if bucket.GenerateDuration(plan.Seed, "tail", op, name, attempt, 50) == 1 { // two in a hundred
			d += bucket.GenerateDuration(plan.Seed, "slow", op, name, attempt, 400*time.Millisecond)
		}
		return d
	})
	fault := bucket.NewFaultyBucket(slow, plan.Decide)
	billed := &billingBucket{Bucket: bucket.Retry(fault, bucket.DefaultRetry()), puts: map[string]uint32{}}
	store := s3stream.NewStore(s3stream.Config{Bucket: billed, Replica: (*metadata.Replica)(nil)})
	return store, billed, func() { store.Close(); fault.Close() }
}

// checkHangBill compares what entries name with what was billed.
func (r *rig) checkHangBill(b *billingBucket) (thirds int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.w.Drain(ctx); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(2 * r.w.cfg.UploadTimeout) // losing PUTs end, and are reported
	for _, e := range r.applied() {
		for _, o := range slices.Concat(e.Objects, e.Orphans) {
			puts, ok := b.puts[o.Name.Key()]
			if !ok || puts != o.Puts {
				r.t.Errorf("entries say that %s cost %d requests, billed are %d (named before, or never sent: %v)", o.Name.Key(), o.Puts, puts, !ok)
			}
			delete(b.puts, o.Name.Key())
			if o.Name.Try == 2 {
				thirds++
			}
		}
	}
	for name, puts := range b.puts {
		r.t.Errorf("no entry names %s, which cost %d requests", name, puts)
	}
	return thirds
}

// In a stream of 6,000 objects 3 of 100 PUTs get no answer, and 10 of 100 an
// error. Time is the bubble's, and the bucket's outcomes are a function of its
// names: the figures are the same in every run, and docs/benchmarks.md has
// them.
func TestHangingPUTsHoldUpNobodyForLong(t *testing.T) {
	var billed *billingBucket
	var end func()
	inBubble(t, func(c *Config) {
		c.Linger = time.Millisecond
		c.Uploader, billed, end = hangingStore(bucket.FaultPlan{Seed: 6, Before: 0.1, Hang: 0.03})
	}, func(r *rig) {
		defer end()
		r.makeTopic(8)
		const puts = 6000
		var longest atomic.Int64
		var wg sync.WaitGroup
		for i := range int32(puts) {
			ack, sent := r.send(made{partition: i % 8, bytes: 2000}), time.Now()
			wg.Go(func() {
				if _, err := ack.Result(); err != nil {
					t.Errorf("batch %d: %v", i, err)
				}
				for d := int64(time.Since(sent)); ; {
					was := longest.Load()
					if d <= was || longest.CompareAndSwap(was, d) {
						return
					}
				}
			})
			time.Sleep(20 * time.Millisecond)
		}
		wg.Wait()
		thirds := r.checkHangBill(billed)
		s := r.w.Stats().PUTs
		t.Logf("%d objects: longest pause %v, %d PUTs sent a second or third time (%.1f %%), %d third names, %d retries of answered failures, %+v",
			s.Races, time.Duration(longest.Load()), s.Hedges, 100*float64(s.Hedges)/float64(s.Races), thirds, s.Retries, s)
		switch {
		case s.Races < puts*95/100:
			t.Errorf("%d objects: batches shared them, the test has no teeth", s.Races)
		case time.Duration(longest.Load()) >= 2*time.Second:
			t.Errorf("a batch waited %v", time.Duration(longest.Load()))
		case s.Hedges*100 >= s.Races*8:
			t.Errorf("%d of %d PUTs were sent again", s.Hedges, s.Races)
		case thirds == 0 || s.Won == 0 || s.Retries < puts*8/100:
			t.Errorf("an interesting state was never reached: %d third names, %+v", thirds, s)
		}
	})
}
