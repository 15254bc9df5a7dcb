package metadata

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Rates are what one log may be asked to carry per second, cluster-wide. They
// are the cluster's limits: past them linger grows instead of etcd's queue.
type Rates struct {
	Commits     float64
	EntryBytes  float64
	Runs        float64
	InlineBytes float64
}

// DefaultRates returns the design's (section 10).
func DefaultRates() Rates {
	return Rates{Commits: 2_000, EntryBytes: 6 << 20, Runs: 100_000, InlineBytes: 2 << 20}
}

// Cost is what one entry asks of the log.
type Cost struct {
	Commits     int
	EntryBytes  int
	Runs        int
	InlineBytes int
}

// Governor holds one broker to its share of the cluster's rates, by live
// sessions, as token buckets. Control goes first: it never waits for data.
// `low` may take all that is left; `standard` only above a reserve, and once
// it ran dry it waits until the reserve is clearly back (hysteresis).
type Governor struct {
	mu       sync.Mutex
	rates    Rates
	share    float64 // 1 / live sessions
	at       time.Time
	have     Cost4
	starving bool // standard waits for the reserve to be clearly back
	inlineOK bool // the log's store has room, and archives are not behind
	denied   uint64
	waited   time.Duration
}

// Cost4 is a budget of each of the four rates.
type Cost4 struct{ Commits, EntryBytes, Runs, InlineBytes float64 }

// burst is how long, in seconds, a broker may save its share up.
const burst = 0.25

// standardReserve is the part of a bucket that standard leaves to low.
const standardReserve = 0.2

// NewGovernor returns the governor of one broker that is alone at first.
func NewGovernor(r Rates) *Governor {
	g := &Governor{rates: r, share: 1, inlineOK: true, at: time.Now()}
	g.have = g.capacity()
	return g
}

// Share tells how many brokers share the log.
func (g *Governor) Share(sessions int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	g.share = 1 / float64(max(sessions, 1))
}

// AllowInline says whether inline entries may be written at all: not while
// the store is short of room or too much of the log lies in no archive.
func (g *Governor) AllowInline(ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inlineOK = ok
}

func (g *Governor) capacity() Cost4 {
	cap := func(rate, least float64) float64 { return max(rate*g.share*burst, least) }
	return Cost4{cap(g.rates.Commits, 4), cap(g.rates.EntryBytes, MaxEntryBytes), cap(g.rates.Runs, 8192), cap(g.rates.InlineBytes, 2*MaxInlineBytes)}
}

func (g *Governor) refill() {
	now := time.Now()
	dt := now.Sub(g.at).Seconds() * g.share
	g.at = now
	c := g.capacity()
	g.have.Commits = min(c.Commits, g.have.Commits+dt*g.rates.Commits)
	g.have.EntryBytes = min(c.EntryBytes, g.have.EntryBytes+dt*g.rates.EntryBytes)
	g.have.Runs = min(c.Runs, g.have.Runs+dt*g.rates.Runs)
	g.have.InlineBytes = min(c.InlineBytes, g.have.InlineBytes+dt*g.rates.InlineBytes)
}

// InlineAllowed takes n bytes from the inline budget if they are there.
func (g *Governor) InlineAllowed(n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	if !g.inlineOK || g.rates.InlineBytes <= 0 || g.have.InlineBytes < float64(n) {
		g.denied++
		return false
	}
	g.have.InlineBytes -= float64(n)
	return true
}

// Acquire waits until the lane may commit an entry of this cost (its inline
// bytes were taken by InlineAllowed).
func (g *Governor) Acquire(ctx context.Context, lane Lane, c Cost) error {
	for {
		wait := g.take(lane, c)
		if wait == 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("wait for the governor: %w", ctx.Err())
		}
	}
}

// take pays, or returns how long to wait before asking again.
func (g *Governor) take(lane Lane, c Cost) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	full := g.capacity()
	floor := Cost4{}
	switch lane {
	case LaneControl:
		floor = Cost4{math.Inf(-1), math.Inf(-1), math.Inf(-1), 0}
	case LaneStandard:
		part := standardReserve
		if g.starving {
			part = 2 * standardReserve
		}
		floor = Cost4{full.Commits * part, full.EntryBytes * part, full.Runs * part, 0}
	}
	short := max(
		lack(g.have.Commits, float64(c.Commits), floor.Commits, full.Commits, g.rates.Commits*g.share),
		lack(g.have.EntryBytes, float64(c.EntryBytes), floor.EntryBytes, full.EntryBytes, g.rates.EntryBytes*g.share),
		lack(g.have.Runs, float64(c.Runs), floor.Runs, full.Runs, g.rates.Runs*g.share))
	if short > 0 {
		g.starving = g.starving || lane == LaneStandard
		wait := max(time.Duration(short*float64(time.Second)), time.Millisecond)
		g.waited += wait
		return wait
	}
	if lane == LaneStandard {
		g.starving = false
	}
	g.have.Commits -= float64(c.Commits)
	g.have.EntryBytes -= float64(c.EntryBytes)
	g.have.Runs -= float64(c.Runs)
	return 0
}

// lack returns for how many seconds a bucket must fill before it can pay. A
// cost above what the bucket can ever hold is paid from a full one, into debt.
func lack(have, cost, floor, full, rate float64) float64 {
	need := min(cost+floor, full)
	if have >= need {
		return 0
	}
	return (need - have) / rate
}

// GovernorStats is how the governor stands, for metrics.
type GovernorStats struct {
	Have         Cost4
	Share        float64
	InlineDenied uint64
	Waited       time.Duration
}

// Stats returns how the governor stands.
func (g *Governor) Stats() GovernorStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	return GovernorStats{g.have, g.share, g.denied, g.waited}
}
