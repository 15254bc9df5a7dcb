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
	EntryBytes  float64 // without the inline ones
	Runs        float64
	InlineBytes float64
}

// DefaultRates returns what one log carries (docs/design.md, section 16).
func DefaultRates() Rates {
	return Rates{Commits: 2_000, EntryBytes: 6 << 20, Runs: 100_000, InlineBytes: 2 << 20}
}

// Cost is what one entry asks of the log. Its inline bytes are no EntryBytes.
type Cost struct {
	Commits     int
	EntryBytes  int
	Runs        int
	InlineBytes int
}

// CostOf is what an entry that was applied has cost.
func CostOf(a *AppliedEntry) Cost {
	c := Cost{Commits: 1, EntryBytes: len(a.Committed.Bytes)}
	if a.Entry == nil {
		return c
	}
	c.InlineBytes = len(a.Entry.Inline)
	c.EntryBytes -= c.InlineBytes
	for i := range a.Entry.Parts {
		c.Runs += len(a.Entry.Parts[i].Runs)
	}
	return c
}

// Governor holds one broker to what the cluster's rates leave it, as two token
// buckets for each rate: its share by live sessions, which nobody can take
// from it, and the whole cluster's, from which it may take what the others do
// not use. What they use it learns from the entries that it applies (ChargeRemote), a
// few milliseconds late; so what it takes beyond its share is bounded until it
// has seen its own entries applied (Settle). Over any span of time all brokers
// together stay within the rates and a second's worth (ADR 0017).
//
// Control goes first: it never waits for data. `low` may take all that is
// left; `standard` only above a reserve, and once it ran dry it waits until the
// reserve is clearly back (hysteresis).
type Governor struct {
	mu                sync.Mutex // guards what follows
	rates             amounts
	dataFraction      float64 // the part of the rates of commits and runs that is given
	share             float64 // 1 / live sessions
	refilledAt        time.Time
	ownBucket         amounts // of this broker's share
	clusterBucket     amounts // of the cluster's, as far as is known here
	unsettled         amounts // taken here, not settled
	standardStarved   bool    // standard waits for the reserve to be clearly back
	inlineOK          bool    // the log's store has room, and archives are not behind
	denied            uint64
	remoteSpent       amounts // spent by them, in all
	inlineBeyondShare float64 // inline bytes taken beyond the share
	waited            time.Duration
}

const (
	// burstSeconds is how long, in seconds, rates may be saved up.
	burstSeconds = 0.25
	// debtSeconds is how many seconds of its rate a bucket remembers of what was
	// spent beyond it.
	debtSeconds = 1
	// standardReserve is the part of a bucket that standard leaves to low.
	standardReserve = 0.2
)

// NewGovernor returns the governor of one broker that is alone at first.
func NewGovernor(r Rates) *Governor {
	g := &Governor{rates: amounts{r.Commits, r.EntryBytes, r.Runs, r.InlineBytes}, dataFraction: 1, share: 1, inlineOK: true, refilledAt: time.Now()}
	g.ownBucket, g.clusterBucket = g.bucketCapacity(1), g.bucketCapacity(1)
	return g
}

// SetSessions tells how many brokers share the log.
func (g *Governor) SetSessions(sessions int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	g.share = 1 / float64(max(sessions, 1))
}

// SetDataFraction says which part of the cluster's rates of commits and runs is given to
// data: less than all where the state grows full.
func (g *Governor) SetDataFraction(part float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	g.dataFraction = part
}

// ratePerSecond is what is given of one kind per second.
func (g *Governor) ratePerSecond(i int) float64 {
	if i == rateCommits || i == rateRuns {
		return g.rates[i] * g.dataFraction
	}
	return g.rates[i]
}

// AllowInline says whether inline entries may be written at all: not while
// the store is short of room or too much of the log lies in no archive.
func (g *Governor) AllowInline(ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inlineOK = ok
}

// ChargeRemote takes down what another broker has spent, by an entry that was applied.
func (g *Governor) ChargeRemote(c Cost) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	for i, n := range amountsOf(c) {
		g.clusterBucket[i] = max(g.clusterBucket[i]-n, -debtSeconds*g.ratePerSecond(i))
		g.remoteSpent[i] += n
	}
}

// Settle says that what was taken for an entry is known to all who follow the
// log: the entry is applied here, or it will not be.
func (g *Governor) Settle(c Cost) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, n := range amountsOf(c) {
		g.unsettled[i] = max(g.unsettled[i]-n, 0)
	}
}

// SettleAll settles what an earlier session has taken.
func (g *Governor) SettleAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unsettled = amounts{}
}

// bucketCapacity is what a bucket of this share of the rates holds.
func (g *Governor) bucketCapacity(share float64) (full amounts) {
	for i, least := range (amounts{4, MaxEntryBytes, 8192, 2 * MaxInlineBytes}) {
		full[i] = max(g.ratePerSecond(i)*share*burstSeconds, least)
	}
	return full
}

func (g *Governor) refill() {
	now := time.Now()
	dt := now.Sub(g.refilledAt).Seconds()
	g.refilledAt = now
	own, all := g.bucketCapacity(g.share), g.bucketCapacity(1)
	for i := range g.rates {
		rate := g.ratePerSecond(i)
		g.ownBucket[i] = min(own[i], g.ownBucket[i]+dt*g.share*rate)
		g.clusterBucket[i] = min(all[i], g.clusterBucket[i]+dt*rate)
	}
}

// secondsUntilPayable is after how long an amount can be paid: 0 is now. floors are what must
// be left of own and all.
func (g *Governor) secondsUntilPayable(i int, n float64, floor float64) (seconds float64, fromOwn bool) {
	if n == 0 {
		return 0, true
	}
	own, all := g.bucketCapacity(g.share)[i], g.bucketCapacity(1)[i]
	seconds = secondsToFill(g.ownBucket[i], n, floor*own, own, g.ratePerSecond(i)*g.share)
	if seconds == 0 {
		return 0, true
	}
	if g.unsettled[i]+n <= own { // the part of all that this broker may hold unseen
		seconds = min(seconds, secondsToFill(g.clusterBucket[i], n, floor*all, all, g.ratePerSecond(i)))
	}
	return seconds, false
}

// secondsToFill returns for how many seconds a bucket must fill before it can pay. A
// cost above what the bucket can ever hold is paid from a full one, into debt.
func secondsToFill(have, cost, floor, full, rate float64) float64 {
	need := min(cost+floor, full)
	if have >= need {
		return 0
	}
	return (need - have) / rate
}

func (g *Governor) spend(i int, n float64, fromOwn bool) {
	if fromOwn {
		g.ownBucket[i] = max(g.ownBucket[i]-n, -debtSeconds*g.ratePerSecond(i)*g.share)
	}
	g.clusterBucket[i] = max(g.clusterBucket[i]-n, -debtSeconds*g.ratePerSecond(i))
	g.unsettled[i] += n
}

// InlineAllowed takes n bytes from the inline budget if they are there.
func (g *Governor) InlineAllowed(n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	if !g.inlineOK || g.rates[rateInlineBytes] <= 0 {
		g.denied++
		return false
	}
	seconds, fromOwn := g.secondsUntilPayable(rateInlineBytes, float64(n), 0)
	if seconds > 0 {
		g.denied++
		return false
	}
	g.spend(rateInlineBytes, float64(n), fromOwn)
	if !fromOwn {
		g.inlineBeyondShare += float64(n)
	}
	return true
}

// Acquire waits until the lane may commit an entry of this cost (its inline
// bytes were taken by InlineAllowed).
func (g *Governor) Acquire(ctx context.Context, lane Lane, c Cost) error {
	for {
		wait := g.tryAcquire(lane, c)
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

// tryAcquire pays, or returns how long to wait before asking again.
func (g *Governor) tryAcquire(lane Lane, c Cost) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	floor := 0.0
	switch {
	case lane == LaneControl:
		floor = math.Inf(-1)
	case lane == LaneStandard && g.standardStarved:
		floor = 2 * standardReserve
	case lane == LaneStandard:
		floor = standardReserve
	}
	c.InlineBytes = 0
	cost := amountsOf(c)
	short := 0.0
	var fromOwn [rateKinds]bool
	for i, n := range cost {
		var seconds float64
		seconds, fromOwn[i] = g.secondsUntilPayable(i, n, floor)
		short = max(short, seconds)
	}
	if short > 0 {
		g.standardStarved = g.standardStarved || lane == LaneStandard
		wait := max(time.Duration(short*float64(time.Second)), time.Millisecond)
		g.waited += wait
		return wait
	}
	if lane == LaneStandard {
		g.standardStarved = false
	}
	for i, n := range cost {
		g.spend(i, n, fromOwn[i])
	}
	return 0
}

// amounts are a quantity of each of the four kinds.
type amounts [rateKinds]float64

const (
	rateCommits = iota
	rateEntryBytes
	rateRuns
	rateInlineBytes
	rateKinds
)

func amountsOf(c Cost) amounts {
	return amounts{float64(c.Commits), float64(c.EntryBytes), float64(c.Runs), float64(c.InlineBytes)}
}

// GovernorStats is how the governor stands, for metrics. Own is what is left of
// this broker's share, All what is left to everybody, Others what other brokers
// have spent since this one has followed them.
type GovernorStats struct {
	Own, All     Cost
	Others       Cost
	Share        float64
	DataFraction float64 // the part of the rates of commits and runs that data is given
	InlineDenied uint64
	InlineBeyond float64 // bytes taken beyond the share
	Waited       time.Duration
}

// Stats returns how the governor stands.
func (g *Governor) Stats() GovernorStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	cost := func(a amounts) Cost {
		return Cost{int(a[rateCommits]), int(a[rateEntryBytes]), int(a[rateRuns]), int(a[rateInlineBytes])}
	}
	return GovernorStats{cost(g.ownBucket), cost(g.clusterBucket), cost(g.remoteSpent), g.share, g.dataFraction, g.denied, g.inlineBeyondShare, g.waited}
}
