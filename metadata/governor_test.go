package metadata

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// spent is what one broker took, and when.
type spent struct {
	at time.Time
	Cost
}

// governed is a cluster of governors over one log; each broker sees its entries
// after a delay of its own.
type governed struct {
	t       *testing.T
	rates   Rates
	brokers []*Governor
	lags    []time.Duration // the longest
	rng     *rand.Rand

	mu    sync.Mutex // guards the fields below
	spent []spent
	by    []Cost
	wg    sync.WaitGroup
}

func newGoverned(t *testing.T, seed uint64, n int, rates Rates) *governed {
	w := &governed{t: t, rates: rates, by: make([]Cost, n), rng: rand.New(rand.NewPCG(seed, 3))}
	for range n {
		g := NewGovernor(rates)
		g.SetSessions(n)
		w.brokers = append(w.brokers, g)
		w.lags = append(w.lags, time.Duration(2+w.rng.IntN(50))*time.Millisecond)
	}
	return w
}

// spend records what broker i took, and reports it to all after their delays.
func (w *governed) spend(i int, c Cost) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spent = append(w.spent, spent{time.Now(), c})
	b := &w.by[i]
	*b = Cost{b.Commits + c.Commits, b.EntryBytes + c.EntryBytes, b.Runs + c.Runs, b.InlineBytes + c.InlineBytes}
	for j, g := range w.brokers {
		lag := time.Millisecond + time.Duration(w.rng.Int64N(int64(w.lags[j])))
		w.wg.Go(func() {
			time.Sleep(lag)
			if i == j {
				g.Settle(c)
			} else {
				g.ChargeRemote(c)
			}
		})
	}
}

// produce makes broker i append entries of up to this size for this time, one
// after the other: inline where it may.
func (w *governed) produce(i int, bytes int, long, pause time.Duration) {
	w.mu.Lock()
	rng := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(i)))
	w.mu.Unlock()
	g := w.brokers[i]
	for end := time.Now().Add(long); time.Now().Before(end); {
		c := Cost{Commits: 1, EntryBytes: 100 + rng.IntN(2000), Runs: 1 + rng.IntN(50)}
		if n := 1 + rng.IntN(bytes); g.InlineAllowed(n) {
			c.InlineBytes = n
		}
		if err := g.Acquire(context.Background(), LaneLow, c); err != nil {
			w.t.Error(err)
		}
		w.spend(i, c)
		time.Sleep(1 + time.Duration(rng.Int64N(int64(pause))))
	}
}

// check compares any span of time with the rates: what was spent in it is at most
// what they allow, and a second's worth.
func (w *governed) check() {
	w.t.Helper()
	w.wg.Wait()
	least := amounts{4, MaxEntryBytes, 8192, 2 * MaxInlineBytes}
	rates := amounts{w.rates.Commits, w.rates.EntryBytes, w.rates.Runs, w.rates.InlineBytes}
	for i := range rates {
		// The excess of the worst span is a running maximum: of all that was
		// spent before, less what the rate allowed.
		over, lowest, sum := 0.0, math.Inf(1), 0.0
		for _, s := range w.spent {
			allowed := s.at.Sub(w.spent[0].at).Seconds() * rates[i]
			lowest = min(lowest, sum-allowed)
			sum += amountsOf(s.Cost)[i]
			over = max(over, sum-allowed-lowest)
		}
		// Buckets are never smaller than a few entries.
		if bound := max(rates[i], 2*float64(len(w.brokers))*least[i]+burstSeconds*rates[i]); over > bound {
			w.t.Errorf("kind %d: %.0f beyond the rate of %.0f a second, at most %.0f", i, over, rates[i], bound)
		}
	}
}

// Brokers join, leave and change their load at random.
func TestAllBrokersTogetherKeepToTheClustersRates(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			n := 1 + rng.IntN(6)
			w := newGoverned(t, seed, n, Rates{Commits: 500, EntryBytes: 1 << 20, Runs: 20_000, InlineBytes: 2 << 20})
			var wg sync.WaitGroup
			for i := range n {
				times := make([]time.Duration, 6)
				for k := range times {
					times[k] = time.Duration(rng.Int64N(5e9))
				}
				bytes, pause := 1+rng.IntN(MaxInlineBytes), time.Duration(1+rng.Int64N(5e6))
				wg.Go(func() {
					for k := 0; k < len(times); k += 2 {
						time.Sleep(times[k])
						w.produce(i, bytes, times[k+1], pause)
					}
				})
			}
			wg.Wait()
			w.check()
		})
	}
}

func TestOneBrokerMayUseWhatTheOthersDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGoverned(t, 1, 3, Rates{Commits: 2000, EntryBytes: 6 << 20, Runs: 100_000, InlineBytes: 2 << 20})
		const long = 20 * time.Second
		w.produce(0, MaxInlineBytes, long, 4*time.Millisecond)
		if got := float64(w.by[0].InlineBytes) / long.Seconds(); got < 0.95*(2<<20) {
			t.Errorf("one broker of three, alone: %.0f of %d bytes inline a second", got, 2<<20)
		}
		w.check()
		before := w.by[0].InlineBytes
		var wg sync.WaitGroup
		for i := range 3 { // the second takes little, the others all that they can
			bytes := MaxInlineBytes
			if i == 1 {
				bytes = 2000
			}
			wg.Go(func() { w.produce(i, bytes, long, 6*time.Millisecond) })
		}
		wg.Wait()
		w.check()
		first := float64(w.by[0].InlineBytes-before) / long.Seconds()
		second, third := float64(w.by[1].InlineBytes)/long.Seconds(), float64(w.by[2].InlineBytes)/long.Seconds()
		if sum := first + second + third; sum < 0.9*(2<<20) || first < 0.9*(2<<20)/3 || third < 0.9*(2<<20)/3 {
			t.Errorf("three brokers: %.0f, %.0f and %.0f bytes inline a second", first, second, third)
		}
	})
}

// A broker that gets nothing from the log, not even its own entries, stays within
// its share.
func TestABrokerThatSeesNothingKeepsToItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 2 << 20
		g := NewGovernor(Rates{Commits: 2000, EntryBytes: 6 << 20, Runs: 100_000, InlineBytes: rate})
		g.SetSessions(4)
		time.Sleep(time.Minute)
		got := 0
		for range 10_000 {
			if g.InlineAllowed(8 << 10) {
				got += 8 << 10
			}
			time.Sleep(time.Millisecond)
		}
		if most := 10*rate/4 + 2*rate/4; got > most {
			t.Errorf("%d bytes in 10 s, at most %d", got, most)
		}
		g.SettleAll() // a new session, which has caught up
		got = 0
		for range 1000 {
			if g.InlineAllowed(8 << 10) {
				got += 8 << 10
				g.Settle(Cost{InlineBytes: 8 << 10})
			}
			time.Sleep(time.Millisecond)
		}
		if got < rate {
			t.Errorf("%d bytes in a second after it, want at least %d", got, rate)
		}
	})
}
