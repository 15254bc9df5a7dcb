package bucket_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// One seed is one history: what the store sees, when, with which bytes and what
// came of it, is the same in every run, however the goroutines were scheduled.
func TestTheSameSeedIsTheSameHistory(t *testing.T) {
	history := func(seed uint64) (lines []string) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			start := time.Now()
			mem := bucket.Trace(bucket.NewMem(), func(l bucket.TraceLine) {
				mu.Lock()
				defer mu.Unlock()
				lines = append(lines, fmt.Sprint(l.Begun.Sub(start), l.Op, l.Name, l.Off, l.Len, l.Bytes, l.Sum, l.Err))
			})
			slow := bucket.Delay(mem, func(op bucket.Op, name string, attempt int, size int64) time.Duration {
				return bucket.GenerateDuration(seed, "delay", op, name, attempt, 80*time.Millisecond)
			})
			plan := bucket.FaultPlan{Seed: seed, Before: 0.1, Lost: 0.05, After: 0.1, Late: 0.1, LateBy: time.Second}
			f := bucket.NewFaultyBucket(slow, plan.Decide)
			var wg sync.WaitGroup
			for writer := range 6 {
				config := bucket.DefaultRetry()
				config.Seed = seed
				b := bucket.Retry(f, config)
				wg.Go(func() {
					for n := range 10 {
						name := fmt.Sprintf("w%d/%d", writer, n)
						time.Sleep(bucket.GenerateDuration(seed, "think", bucket.OpPut, name, 0, 50*time.Millisecond))
						err := b.Put(t.Context(), name, []byte(name))
						body, getErr := b.Get(t.Context(), name, 1, 2)
						if err == nil && getErr == nil && string(body) != name[1:3] {
							t.Errorf("%s: read back %q", name, body)
						}
						if n%5 == 4 {
							_, _ = b.List(t.Context(), fmt.Sprintf("w%d/", writer), "", 0)
							_, _ = b.Delete(t.Context(), name)
						}
					}
				})
			}
			wg.Wait()
			f.Close()
		})
		return lines
	}
	first := history(3)
	if len(first) < 100 {
		t.Fatalf("a history of %d lines says little", len(first))
	}
	for run := range 8 {
		again := history(3)
		for i := range min(len(first), len(again)) {
			if first[i] != again[i] {
				t.Fatalf("run %d differs at line %d:\n%s\n%s", run+2, i, first[i], again[i])
			}
		}
		if len(again) != len(first) {
			t.Fatalf("run %d has %d lines, the first %d", run+2, len(again), len(first))
		}
	}
	if slices.Equal(first, history(4)) {
		t.Error("another seed gave the same history")
	}
}
