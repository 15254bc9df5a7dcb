package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

func TestRetryPutOutcomes(t *testing.T) {
	const ok, before, lost, after, late = bucket.FaultNone, bucket.FaultRefused, bucket.FaultRequestLost, bucket.FaultAnswerLost, bucket.FaultLatePut
	for _, c := range []struct {
		name     string
		fates    []bucket.FaultKind
		there    string // put by someone else before
		want     error
		attempts int // puts and gets
	}{
		{"at once", nil, "", nil, 1},
		{"refused twice", []bucket.FaultKind{before, before}, "", nil, 3},
		{"lost without effect", []bucket.FaultKind{lost}, "", nil, 2},
		{"lost after its effect: 412, read back, ours", []bucket.FaultKind{after}, "", nil, 3},
		{"lost twice after its effect", []bucket.FaultKind{after, after}, "", nil, 4},
		{"late, landing after the second won", []bucket.FaultKind{late}, "", nil, 2},
		{"taken by another one: no comparison", nil, "theirs", bucket.ErrExists, 1},
		{"taken by another one with our bytes: no comparison", nil, "mine", bucket.ErrExists, 1},
		{"lost, and taken by another one", []bucket.FaultKind{lost}, "theirs", bucket.ErrExists, 3},
		{"never answered", []bucket.FaultKind{before, before, before, before, before}, "", bucket.ErrBusy, 5},
		{"won by the last attempt", []bucket.FaultKind{before, before, before, before, ok}, "", nil, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := bucket.NewMem()
				if c.there != "" {
					if err := mem.Put(t.Context(), "x", []byte(c.there)); err != nil {
						t.Fatal(err)
					}
				}
				f := bucket.NewFaultyBucket(mem, script(c.fates...))
				seen := 0
				ctx := bucket.WithObserver(t.Context(), func(bucket.Attempt) { seen++ })
				err := bucket.Retry(f, bucket.DefaultRetry()).Put(ctx, "x", []byte("mine"))
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("put: %v, want %v", err, c.want)
				}
				if seen != c.attempts {
					t.Errorf("%d attempts reported, want %d", seen, c.attempts)
				}
				f.Close()
				if body, getErr := mem.Get(t.Context(), "x", 0, -1); err == nil && (getErr != nil || string(body) != "mine") {
					t.Errorf("confirmed, and yet get says %q, %v", body, getErr)
				}
			})
		})
	}
}

func TestRetryGivesASilentStoreUpAndAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := bucket.NewMem()
		b := bucket.Retry(bucket.Delay(mem, func(_ bucket.Op, _ string, attempt int, _ int64) time.Duration {
			if attempt == 1 {
				return time.Hour
			}
			return time.Millisecond
		}), bucket.DefaultRetry())
		begun := time.Now()
		if err := b.Put(t.Context(), "x", []byte("y")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("took %v, want one timeout of 10 s and a pause", took)
		}
		begun = time.Now()
		b = bucket.Retry(bucket.Delay(mem, func(bucket.Op, string, int, int64) time.Duration { return time.Hour }), bucket.DefaultRetry())
		if _, err := b.Get(t.Context(), "x", 0, -1); !errors.Is(err, bucket.ErrBusy) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("get of a store that is silent: %v, want ErrBusy and not the caller's deadline", err)
		}
		if took := time.Since(begun); took > 55*time.Second {
			t.Errorf("gave up after %v, want five timeouts and pauses", took)
		}
	})
}

func TestRetryHonoursTheCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := bucket.NewFaultyBucket(bucket.NewMem(), noFaults)
		f.SetDown(true)
		defer f.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		begun := time.Now()
		err := bucket.Retry(f, bucket.DefaultRetry()).Put(ctx, "x", nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 60*time.Millisecond {
			t.Errorf("put: %v after %v, want the caller's deadline after 60ms", err, time.Since(begun))
		}
	})
}

func TestRetryPausesGrowSpreadAndRepeatWithTheSeed(t *testing.T) {
	run := func(seed uint64, name string) (pauses []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			config := bucket.DefaultRetry()
			config.Seed, config.Attempts = seed, 8
			f := bucket.NewFaultyBucket(bucket.NewMem(), noFaults)
			f.SetDown(true)
			defer f.Close()
			last := time.Now()
			ctx := bucket.WithObserver(t.Context(), func(bucket.Attempt) {
				pauses = append(pauses, time.Since(last))
				last = time.Now()
			})
			_ = bucket.Retry(f, config).Put(ctx, name, nil)
		})
		return pauses[1:]
	}
	first := run(1, "x")
	span := 50 * time.Millisecond
	for i, pause := range first {
		if pause < span/2 || pause > span {
			t.Errorf("pause %d is %v, want %v to %v", i+1, pause, span/2, span)
		}
		span = min(2*span, 2*time.Second)
	}
	if again := run(1, "x"); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("the same seed gave %v and %v", first, again)
	}
	for what, other := range map[string][]time.Duration{"seed": run(2, "x"), "name": run(1, "y")} {
		if fmt.Sprint(other) == fmt.Sprint(first) {
			t.Errorf("another %s gave the same pauses %v", what, first)
		}
	}
}

// Under heavy faults, with retries, racing writers and late effects: who was
// told yes owns the object, no two were, and no object ever changes.
func TestUnderFaultsAtMostOneWriterIsToldYesAndItIsTrue(t *testing.T) {
	reached := map[string]int{}
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			plan := bucket.FaultPlan{Seed: seed, Before: 0.15, Lost: 0.1, After: 0.2, Late: 0.2, LateBy: 3 * time.Second}
			mem := bucket.NewMem()
			f := bucket.NewFaultyBucket(mem, plan.Decide)
			told := make([][]bool, 8)
			var wg sync.WaitGroup
			for writer := range told {
				told[writer] = make([]bool, 10)
				config := bucket.DefaultRetry()
				config.Seed = seed<<8 | uint64(writer)
				b := bucket.Retry(f, config)
				wg.Go(func() {
					time.Sleep(time.Duration(writer+1) * 1237 * time.Microsecond)
					for object := range told[writer] {
						err := b.Put(t.Context(), fmt.Sprintf("o/%d", object), fmt.Appendf(nil, "writer %d", writer))
						told[writer][object] = err == nil
					}
				})
			}
			wg.Wait()
			f.Close()
			for object := range 10 {
				body, err := mem.Get(t.Context(), fmt.Sprintf("o/%d", object), 0, -1)
				yes := 0
				for writer := range told {
					if !told[writer][object] {
						continue
					}
					yes++
					if want := fmt.Sprintf("writer %d", writer); err != nil || string(body) != want {
						t.Errorf("seed %d object %d: %s was told yes, and the bucket holds %q, %v", seed, object, want, body, err)
					}
				}
				if yes > 1 {
					t.Errorf("seed %d object %d: %d writers were told yes", seed, object, yes)
				}
				reached[fmt.Sprintf("%d told yes, there: %v", yes, err == nil)]++
			}
		})
	}
	for _, state := range []string{"1 told yes, there: true", "0 told yes, there: true"} {
		if reached[state] == 0 {
			t.Errorf("state %q was never reached: %v", state, reached)
		}
	}
}
