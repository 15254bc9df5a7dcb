package hedge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

func TestLateIsTheRecentP99OfItsSizeAndNeverLong(t *testing.T) {
	var p latencyStats
	if got := p.hedgeDelay(1000, 500*time.Millisecond); got != 500*time.Millisecond {
		t.Errorf("with nothing known: %v", got)
	}
	if got := p.hedgeDelay(1000, time.Minute); got != MaxWait {
		t.Errorf("with nothing known and a long default: %v", got)
	}
	for i := range 200 {
		p.recordLatency(1000, time.Duration(i+1)*time.Millisecond)
	}
	if got := p.hedgeDelay(256<<10, time.Second); got != 199*time.Millisecond {
		t.Errorf("p99 of the last 128: %v", got)
	}
	if got := p.hedgeDelay(256<<10+1, time.Second); got != MaxWait {
		t.Errorf("another size class: %v", got)
	}
	if got := p.hedgeDelay(1000, -1); got >= 0 {
		t.Errorf("never: %v", got)
	}
	for range 128 {
		p.recordLatency(1000, 10*time.Second)
	}
	if got := p.hedgeDelay(1000, time.Second); got != MaxWait {
		t.Errorf("of a store that takes ten seconds: %v", got)
	}
	for range 128 {
		p.recordLatency(1000, time.Millisecond)
	}
	if got := p.hedgeDelay(1000, time.Second); got != minWait {
		t.Errorf("of a store that takes a millisecond: %v", got)
	}
}

// race runs a race whose tries take what is scripted.
func race(h *Hedger, phase uint64, takes ...time.Duration) (won int, took time.Duration) {
	begun := time.Now()
	won = -1
	h.Run(context.Background(), Race{Op: bucket.OpPut, Bytes: 1000, Phase: phase,
		Try: func(n int) (func(context.Context) error, error) {
			return func(ctx context.Context) error {
				select {
				case <-time.After(takes[n]):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}, nil
		},
		OnTryEnd: func(e TryResult) {
			if e.Decides && e.Err == nil {
				won, took = e.Try, time.Since(begun)
			}
		}})
	return won, took
}

// A third try begins when two are late, and none after it. Where more than one
// loser is in flight here, the oldest is given up.
func TestASecondAndAThirdTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{InitialDelay: 100 * time.Millisecond, MaxLosers: 1})
		for _, c := range []struct {
			takes []time.Duration
			won   int
			took  time.Duration
		}{
			{[]time.Duration{90 * time.Millisecond}, 0, 90 * time.Millisecond},
			{[]time.Duration{time.Second, 50 * time.Millisecond}, 1, 150 * time.Millisecond},
			{[]time.Duration{120 * time.Millisecond, 50 * time.Millisecond}, 0, 120 * time.Millisecond},
			{[]time.Duration{time.Second, time.Second, 30 * time.Millisecond}, 2, 230 * time.Millisecond},
			{[]time.Duration{time.Hour, time.Hour, 10 * time.Second}, 2, 10200 * time.Millisecond},
		} {
			if won, took := race(h, 0, c.takes...); won != c.won || took != c.took {
				t.Errorf("%v: try %d after %v, want %d after %v", c.takes, won, took, c.won, c.took)
			}
		}
		if s := h.Stats(); s.GivenUp != 2 || s.Racing != 0 || s.Losing != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// What a Retry does in its pauses and after its timeouts says nothing of how long
// a request takes.
func TestOnlySingleRequestsAreLearnedFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := bucket.Delay(bucket.NewMem(), func(bucket.Op, string, int, int64) time.Duration { return 30 * time.Millisecond })
		fault := bucket.NewFaultyBucket(slow, func(_ bucket.Op, name string, attempt int) bucket.InjectedFault {
			switch {
			case attempt == 1 && name[1] == '3':
				return bucket.InjectedFault{Kind: bucket.FaultHang}
			case attempt == 1:
				return bucket.InjectedFault{Kind: bucket.FaultRefused}
			}
			return bucket.InjectedFault{}
		})
		defer fault.Close()
		b := bucket.Retry(fault, bucket.DefaultRetry())
		h := New(Config{InitialDelay: -1})
		for i := range 64 {
			h.Run(t.Context(), Race{Op: bucket.OpPut, OnTryEnd: func(TryResult) {}, Try: func(n int) (func(context.Context) error, error) {
				return func(ctx context.Context) error { return b.Put(ctx, fmt.Sprintf("%02d", i), nil) }, nil
			}})
		}
		if s := h.Stats(); s.Repeats != 7 || s.Retries != 57 || s.Hedges != 0 {
			t.Errorf("%+v", s)
		}
		if wait := h.latencies.hedgeDelay(0, time.Second); wait != 30*time.Millisecond {
			t.Errorf("a request is late after %v", wait)
		}
	})
}

// Eight requests hang and eight are just past the p99, with two permits. The
// slightly late ones have been answered by the time that it is their turn.
func TestSlightlyLateRequestsDoNotTakeThePermitsOfThoseThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{InitialDelay: 100 * time.Millisecond, MaxHedges: 2, MaxLosers: 4})
		var wg sync.WaitGroup
		var mu sync.Mutex
		var hung []time.Duration
		for i := range 16 {
			wg.Go(func() {
				takes := []time.Duration{105*time.Millisecond - time.Duration(i)*time.Microsecond, 80 * time.Millisecond}
				if i%2 == 1 {
					takes = []time.Duration{10 * time.Second, 80 * time.Millisecond}
				}
				_, took := race(h, uint64(i), takes...)
				mu.Lock()
				defer mu.Unlock()
				if i%2 == 1 {
					hung = append(hung, took)
				}
			})
		}
		wg.Wait()
		s := h.Stats()
		// The first permit goes to one that is slightly late; those that wait are
		// answered meanwhile.
		if s.Hedges != 9 || s.Queued != 14 || s.Won != 8 || s.Racing != 0 || s.Losing != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		if slowest := slices.Max(hung); slowest > 100*time.Millisecond+5*80*time.Millisecond {
			t.Errorf("the slowest of those that hang took %v", slowest)
		}
	})
}

// In the long run there is one second request for four first ones, however
// many are late: a store that is slow as a whole gets a quarter more, not three
// times as much.
func TestHedgesAreAQuarterAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{MaxHedges: 1000, MaxLosers: 1000})
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() { race(h, uint64(i), 3*time.Second, 3*time.Second, 3*time.Second) })
			time.Sleep(10 * time.Millisecond)
		}
		wg.Wait()
		if s := h.Stats(); s.Races != 1000 || s.Hedges > 250+maxTokens || s.Hedges < 240 {
			t.Errorf("%+v", s)
		}
	})
}

// While a store answers 503 its Retry pauses and asks again. That is no reason
// to send a second request; that one of them is late is.
func TestAFailureThatIsAnsweredIsNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs int
		fault := bucket.NewFaultyBucket(bucket.NewMem(), func(_ bucket.Op, name string, attempt int) bucket.InjectedFault {
			if attempt == hangs {
				return bucket.InjectedFault{Kind: bucket.FaultHang}
			}
			if attempt < 4 && name < "1" {
				return bucket.InjectedFault{Kind: bucket.FaultRefused}
			}
			return bucket.InjectedFault{}
		})
		defer fault.Close()
		b := bucket.Retry(fault, bucket.DefaultRetry())
		h := New(Config{InitialDelay: 60 * time.Millisecond})
		put := func(name string) {
			h.Run(t.Context(), Race{Op: bucket.OpPut, OnTryEnd: func(TryResult) {}, Try: func(n int) (func(context.Context) error, error) {
				return func(ctx context.Context) error { return b.Put(ctx, fmt.Sprint(n, name), nil) }, nil
			}})
		}
		put("busy")
		if s := h.Stats(); s.Hedges != 0 || s.Retries != 3 || s.Repeats != 0 {
			t.Errorf("of a store that is busy: %+v", s)
		}
		hangs = 2 // answered 503, then not at all
		begun := time.Now()
		put("hangs")
		if s := h.Stats(); s.Hedges != 1 || s.Won != 1 || s.Retries != 4 {
			t.Errorf("of one that hangs after it was busy: %+v", s)
		}
		// The loser's request ran into its timeout, and no other one followed.
		if took := time.Since(begun); took < 10*time.Second || took > 11*time.Second || h.Stats().Repeats != 0 {
			t.Errorf("the loser ended after %v: %+v", took, h.Stats())
		}
	})
}

// One that was late when it asked for a permit, and has been answered 503 when
// it gets it, is with its Retry and does not use it.
func TestARequestIsLookedAtAgainWhenItsPermitComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{InitialDelay: 100 * time.Millisecond, MaxHedges: 1})
		mem := bucket.Delay(bucket.NewMem(), func(_ bucket.Op, name string, attempt int, _ int64) time.Duration {
			return map[string]time.Duration{"0first": time.Second, "1first": 300 * time.Millisecond, "0second": 30 * time.Millisecond}[name]
		})
		fault := bucket.NewFaultyBucket(mem, func(_ bucket.Op, name string, attempt int) bucket.InjectedFault {
			if name == "0second" && attempt == 1 {
				time.Sleep(390 * time.Millisecond)
				return bucket.InjectedFault{Kind: bucket.FaultRefused}
			}
			return bucket.InjectedFault{}
		})
		defer fault.Close()
		b := bucket.Retry(fault, bucket.DefaultRetry())
		var wg sync.WaitGroup
		for i, name := range []string{"first", "second"} {
			wg.Go(func() {
				h.Run(t.Context(), Race{Op: bucket.OpPut, Phase: uint64(i), OnTryEnd: func(TryResult) {}, Try: func(n int) (func(context.Context) error, error) {
					return func(ctx context.Context) error { return b.Put(ctx, fmt.Sprint(n, name), nil) }, nil
				}})
			})
		}
		wg.Wait()
		if s := h.Stats(); s.Hedges != 1 || s.Won != 1 || s.Queued != 2 || s.Dropped != 1 || s.Retries != 1 || s.Racing != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestGetsAreHedgedAndEndWithTheirCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := bucket.NewMem()
		if err := mem.Put(t.Context(), "object", []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
		var hang atomic.Int64 // so many requests of a kind
		hang.Store(1)
		fault := bucket.NewFaultyBucket(mem, func(_ bucket.Op, _ string, attempt int) bucket.InjectedFault {
			if attempt <= int(hang.Load()) {
				return bucket.InjectedFault{Kind: bucket.FaultHang}
			}
			return bucket.InjectedFault{}
		})
		defer fault.Close()
		g := NewBucket(bucket.Retry(fault, bucket.DefaultRetry()), Config{})
		begun := time.Now()
		if b, err := g.Get(t.Context(), "object", 2, 3); err != nil || string(b) != "234" || time.Since(begun) > 501*time.Millisecond {
			t.Errorf("read %q, %v, after %v", b, err, time.Since(begun))
		}
		// What the store says for good is not waited for twice.
		begun = time.Now()
		if _, err := g.Get(t.Context(), "absent", -8, -1); !errors.Is(err, bucket.ErrNotFound) || time.Since(begun) > 501*time.Millisecond {
			t.Errorf("absent: %v after %v", err, time.Since(begun))
		}
		hang.Store(8)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := g.Get(ctx, "object", 4, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller who leaves: %v", err)
		}
		if _, err := g.Get(t.Context(), "object", 10, 5); err == nil {
			t.Error("a read of what is not there succeeded")
		}
		begun = time.Now()
		closed := make(chan error)
		go func() { _, err := g.Get(t.Context(), "object", 5, 3); closed <- err }()
		time.Sleep(time.Second)
		g.Close()
		if err := <-closed; err == nil || time.Since(begun) != time.Second {
			t.Errorf("while it closes: %v after %v", err, time.Since(begun))
		}
		if _, err := g.Get(t.Context(), "object", 5, 3); err == nil {
			t.Error("a closed bucket was read")
		}
	})
}
