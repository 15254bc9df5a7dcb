package metadata

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Rates are the limits of what one log carries per second, for the whole cluster.
// Beyond them linger grows instead of etcd's queue.
type Rates struct {
	Commits     float64
	EntryBytes  float64 // without inline bytes
	Runs        float64
	InlineBytes float64
}

// DefaultRates returns the rates that one log carries (docs/design.md, section
// 16).
func DefaultRates() Rates {
	return Rates{Commits: 2_000, EntryBytes: 6 << 20, Runs: 100_000, InlineBytes: 2 << 20}
}

// Cost is what one entry takes of the rates. Its inline bytes are not in
// EntryBytes.
type Cost struct {
	Commits     int
	EntryBytes  int
	Runs        int
	InlineBytes int
}

// CostOf returns the cost of an applied entry.
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

// Governor limits one broker to its part of the cluster's rates, with two token
// buckets for each rate: its own share, by live sessions, which other brokers
// cannot use, and the whole cluster's, from which it may use what the others do
// not. It gets their use from the entries that it applies (ChargeRemote), a few
// milliseconds late; so what it takes beyond its share is bounded until its own
// entries are applied (Settle). Over any span of time all brokers together stay
// within the rates and a second's worth (ADR 0017).
//
// Control goes first: it never waits for data. `low` may take all that is left;
// `standard` only above a reserve, and once that has run out it waits until the
// reserve is clearly restored (hysteresis).
type Governor struct {
	mu                sync.Mutex // guards what follows
	rates             amounts
	dataFraction      float64 // the part of the rates of commits and runs that data may use
	share             float64 // 1 / live sessions
	refilledAt        time.Time
	ownBucket         amounts // of this broker's share
	clusterBucket     amounts // of the cluster's, as far as this broker has applied
	unsettled         amounts // taken here, not settled
	standardStarved   bool    // standard waits for the reserve to be clearly restored
	inlineOK          bool    // the log's store has room, and archives are not behind
	denied            uint64
	remoteSpent       amounts // spent by other brokers, in total
	inlineBeyondShare float64 // inline bytes taken beyond the share
	waited            time.Duration
}

const (
	// burstSeconds is for how long, in seconds, an unused rate is saved up.
	burstSeconds = 0.25
	// debtSeconds is the largest debt of a bucket, in seconds of its rate.
	debtSeconds = 1
	// standardReserve is the part of a bucket that only low and control may use.
	standardReserve = 0.2
)

// NewGovernor returns the governor of one broker; until SetSessions it is the
// only one.
func NewGovernor(r Rates) *Governor {
	g := &Governor{rates: amounts{r.Commits, r.EntryBytes, r.Runs, r.InlineBytes}, dataFraction: 1, share: 1, inlineOK: true, refilledAt: time.Now()}
	g.ownBucket, g.clusterBucket = g.bucketCapacity(1), g.bucketCapacity(1)
	return g
}

// SetSessions sets how many brokers share the log.
func (g *Governor) SetSessions(sessions int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	g.share = 1 / float64(max(sessions, 1))
}

// SetDataFraction sets the part of the cluster's rates of commits and runs that
// data may use: less than 1 where the state is nearly full.
func (g *Governor) SetDataFraction(part float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	g.dataFraction = part
}

// ratePerSecond returns the usable rate of one kind.
func (g *Governor) ratePerSecond(i int) float64 {
	if i == rateCommits || i == rateRuns {
		return g.rates[i] * g.dataFraction
	}
	return g.rates[i]
}

// AllowInline sets whether inline entries may be written: not while the store is
// short of room or too much of the log is not archived.
func (g *Governor) AllowInline(ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inlineOK = ok
}

// ChargeRemote charges the cost of another broker's entry, which was applied.
func (g *Governor) ChargeRemote(c Cost) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	for i, n := range amountsOf(c) {
		g.clusterBucket[i] = max(g.clusterBucket[i]-n, -debtSeconds*g.ratePerSecond(i))
		g.remoteSpent[i] += n
	}
}

// Settle reports that an entry's cost is visible to all followers of the log: the
// entry was applied here, or never will be.
func (g *Governor) Settle(c Cost) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, n := range amountsOf(c) {
		g.unsettled[i] = max(g.unsettled[i]-n, 0)
	}
}

// SettleAll settles what an earlier session took.
func (g *Governor) SettleAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unsettled = amounts{}
}

// bucketCapacity returns the capacity of a bucket of this share of the rates.
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

// secondsUntilPayable returns after how many seconds an amount can be paid: 0 is
// now. floor is the part of a bucket's capacity that must be left.
func (g *Governor) secondsUntilPayable(i int, n float64, floor float64) (seconds float64, fromOwn bool) {
	if n == 0 {
		return 0, true
	}
	own, all := g.bucketCapacity(g.share)[i], g.bucketCapacity(1)[i]
	seconds = secondsToFill(g.ownBucket[i], n, floor*own, own, g.ratePerSecond(i)*g.share)
	if seconds == 0 {
		return 0, true
	}
	if g.unsettled[i]+n <= own { // what this broker may take of the cluster's before it is settled
		seconds = min(seconds, secondsToFill(g.clusterBucket[i], n, floor*all, all, g.ratePerSecond(i)))
	}
	return seconds, false
}

// secondsToFill returns for how many seconds a bucket must fill before it can
// pay. A cost above its capacity is paid from a full bucket, into debt.
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

// InlineAllowed takes n bytes from the inline budget if it has them.
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

// tryAcquire pays, or returns how long to wait before trying again.
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

// amounts has one quantity of each of the four kinds.
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

// GovernorStats are the governor's values for metrics. Own is what is left of
// this broker's share, All what is left of the cluster's, Others what other
// brokers have spent since this one began to follow them.
type GovernorStats struct {
	Own, All     Cost
	Others       Cost
	Share        float64
	DataFraction float64 // the part of the rates of commits and runs that data may use
	InlineDenied uint64
	InlineBeyond float64 // bytes taken beyond the share
	Waited       time.Duration
}

// Stats returns the governor's values.
func (g *Governor) Stats() GovernorStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refill()
	cost := func(a amounts) Cost {
		return Cost{int(a[rateCommits]), int(a[rateEntryBytes]), int(a[rateRuns]), int(a[rateInlineBytes])}
	}
	return GovernorStats{cost(g.ownBucket), cost(g.clusterBucket), cost(g.remoteSpent), g.share, g.dataFraction, g.denied, g.inlineBeyondShare, g.waited}
}
