package s3stream

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/s3stream/hedge"
)

// Readers of 6,000 objects of another broker, 3 of 100 GETs without an answer
// and 10 of 100 answered 503. None waits for a request's timeout, few GETs are
// sent twice, and each that was billed is some reader's or is reported as
// nobody's. The figures are the same in every run.
func TestHangingGETsHoldUpNobodyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 11)
		const objects, readers = 6000, 8
		for range objects {
			w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 2000})}}})
		}
		plan := bucket.FaultPlan{Seed: 4, Before: 0.1, Hang: 0.03}
		slow := bucket.Delay(w.mem, func(op bucket.Op, name string, attempt int, _ int64) time.Duration {
			return 15*time.Millisecond + bucket.GenerateDuration(plan.Seed, "took", op, name, attempt, 30*time.Millisecond)
		})
		fault := bucket.NewFaultyBucket(slow, plan.Decide)
		defer fault.Close()
		var billed atomic.Int64
		ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) {
			if a.Op == bucket.OpGet && a.Billable() {
				billed.Add(1)
			}
		})
		gets := hedge.NewBucket(bucket.Retry(fault, bucket.DefaultRetry()), hedge.Config{MaxHedges: 8})
		s := w.store(gets)
		stats := make([]ReadStats, readers)
		var longest atomic.Int64
		var wg sync.WaitGroup
		for i := range readers {
			wg.Go(func() {
				for at := metadata.Offset(i); at < objects; at += readers {
					begun := time.Now()
					r, err := s.Read(ctx, ReadRequest{Partition: part(0), From: at, MaxBytes: 1, MinOne: true, Until: objects, Stats: &stats[i]})
					if err != nil || !bytes.HasPrefix(w.wantFrom(part(0), at), join(r)) {
						t.Errorf("offset %d: %d bytes, %v", at, r.Bytes, err)
					}
					for d := int64(time.Since(begun)); ; {
						was := longest.Load()
						if d <= was || longest.CompareAndSwap(was, d) {
							break
						}
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute) // what lost ends
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		gets.Close()
		h, paid := gets.Stats(), s.Usage().UnclaimedGETs
		for _, st := range stats {
			paid += uint64(st.GETs)
		}
		t.Logf("%d reads: longest %v, %d GETs sent a second or third time (%.1f %%), %d answered for nobody, %d retries of answered failures, %+v",
			h.Races, time.Duration(longest.Load()), h.Hedges, 100*float64(h.Hedges)/float64(h.Races), s.Usage().UnclaimedGETs, h.Retries, h)
		switch {
		case paid != uint64(billed.Load()):
			t.Errorf("%d GETs paid or unclaimed, %d billed", paid, billed.Load())
		case time.Duration(longest.Load()) >= 2*time.Second:
			t.Errorf("a reader waited %v", time.Duration(longest.Load()))
		case h.Hedges*100 >= h.Races*8:
			t.Errorf("%d of %d GETs were sent again", h.Hedges, h.Races)
		case h.Races < objects || h.Won == 0 || s.Usage().UnclaimedGETs == 0 || h.Retries < objects*8/100:
			t.Errorf("an interesting state was never reached: %+v", h)
		}
	})
}

// A PUT that lost its race has stored an object that no entry names: its body is
// of no use in the tail cache.
func TestTheTailCacheKeepsNoLosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 12)
		s := w.store(bucket.Delay(w.mem, func(_ bucket.Op, name string, _ int, _ int64) time.Duration {
			if strings.HasSuffix(name, "-0") {
				return 2 * time.Second
			}
			return 20 * time.Millisecond
		}))
		defer s.Close()
		name, parts := w.nextName(), w.randomParts(2, 100)
		uploaded := 0
		hedge.New(hedge.Config{}).Run(t.Context(), hedge.Race{Op: bucket.OpPut, OnTryEnd: func(hedge.TryResult) {}, Try: func(n int) (func(context.Context) error, error) {
			name.Try = uint8(n)
			name := name
			body, _, err := EncodeWAL(name, parts)
			return func(ctx context.Context) error {
				_, err := s.Upload(ctx, name, body)
				if err == nil {
					uploaded++
				}
				return err
			}, err
		}})
		if u := s.Usage(); uploaded != 2 || u.TailObjects != 1 {
			t.Errorf("%d uploads, %d bodies in the tail cache", uploaded, u.TailObjects)
		}
	})
}
