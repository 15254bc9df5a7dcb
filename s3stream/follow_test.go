package s3stream

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// TestFollowersReadEverythingInOrderWhileItIsWrittenAndArchived: several
// readers at their own pace, a slow and faulty bucket, and every GET that the
// bucket answered is paid by one of them or reported as unclaimed.
func TestFollowersReadEverythingInOrderWhileItIsWrittenAndArchived(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			fault := bucket.NewFaultyBucket(slow(w.mem), bucket.FaultPlan{Seed: seed, Before: 0.1, After: 0.05}.Decide)
			defer fault.Close()
			retry := bucket.DefaultRetry()
			retry.Attempts = 12
			s := w.store(bucket.Retry(fault, retry), func(c *Config) {
				if seed%2 == 1 {
					c.Replica = placing{w}
				}
				c.TailBytes = 1 << 18
			})
			var done atomic.Bool
			var billed atomic.Int64
			ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) {
				if a.Op == bucket.OpGet && a.Billable() {
					billed.Add(1)
				}
			})
			w.upload = ctx // it compares what a lost answer left
			got := make([][]byte, 9)
			stats := make([]ReadStats, len(got))
			var wg sync.WaitGroup
			for i := range got {
				wg.Go(func() {
					tp, from := part(i%3), metadata.Offset(0)
					for {
						last := done.Load()
						v, _ := head(w, tp)
						r, err := s.Read(ctx, ReadRequest{Partition: tp, From: from, MaxBytes: 50_000 * (1 + i), MinOne: true, Until: v.Next, Stats: &stats[i]})
						if err != nil {
							t.Errorf("reader %d at %d: %v", i, from, err)
							return
						}
						got[i] = append(got[i], join(r)...)
						if from = r.Next; last && from == v.Next {
							return
						}
						time.Sleep(time.Duration(1+i) * 3 * time.Millisecond)
					}
				})
			}
			for i := range 80 {
				time.Sleep(7*time.Millisecond + time.Duration(i))
				switch {
				case i%3 == 0:
					w.commitInline(w.randomParts(2, 4000))
				case i%3 == 1:
					w.commitObject(nil, w.randomParts(8, 60_000))
				default:
					w.commitObject(s, w.randomParts(8, 20_000))
				}
				if i%25 == 24 {
					w.archive()
				}
			}
			done.Store(true)
			wg.Wait()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if !bytes.Equal(got[i], w.want[part(i%3)]) {
					t.Errorf("seed %d: reader %d has %d bytes of %d", seed, i, len(got[i]), len(w.want[part(i%3)]))
				}
			}
			paid := s.Usage().UnclaimedGETs
			for _, st := range stats {
				paid += uint64(st.GETs)
			}
			// ArchivedInline of this world reads the bucket below the wrappers.
			if n := uint64(billed.Load()); paid != n || n == 0 {
				t.Errorf("seed %d: %d GETs paid or unclaimed, %d billed", seed, paid, n)
			}
		})
	}
}

func TestCloseEndsReadsThatWaitForTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		s := w.store(bucket.Delay(w.mem, func(bucket.Op, string, int, int64) time.Duration { return time.Hour }))
		w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 10})}}})
		req := ReadRequest{Partition: part(0), MaxBytes: 1 << 20, Until: 1}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Read(t.Context(), req); !errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) {
				t.Errorf("while it closes: %v", err)
			}
		})
		begun := time.Now()
		time.Sleep(time.Second)
		_ = s.Close()
		wg.Wait()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v", took)
		}
		if _, err := s.Read(t.Context(), req); !errors.Is(err, ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := s.Read(context.Background(), ReadRequest{Partition: part(0), From: 1, Until: 1}); err != nil {
			t.Errorf("nothing to read needs no bucket: %v", err)
		}
	})
}
