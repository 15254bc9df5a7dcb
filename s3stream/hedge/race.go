package hedge

import (
	"context"
	"slices"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Race is work that any one of up to MaxTries tries can do.
type Race struct {
	Op    bucket.Op // of the requests that do it
	Bytes int       // its size
	// Phase differs between races that begin at one instant: they do not
	// become late at one instant, where the scheduler would choose the
	// first.
	Phase uint64
	// Try prepares the n'th try, from 0, on Run's goroutine. The function
	// that it returns is called in its own goroutine. Its context reports
	// the requests made under it to the Hedger; it ends with Run's, and
	// where the race is lost.
	Try func(n int) (func(context.Context) error, error)
	// Final, where not nil, reports errors that another try would meet,
	// too: they decide the race as a success does.
	Final func(error) bool
	// OnTryEnd is called on Run's goroutine for each try that has ended.
	OnTryEnd func(TryResult)
}

// TryResult is the result of a try.
type TryResult struct {
	Try  int
	Err  error
	Took time.Duration // with all its retries
	// Decides: this result decided the race: a first success, a final
	// error, or the last failure. Tries that end afterwards have lost.
	Decides bool
	Live    int // tries of this race that are still in flight
}

// Run starts tries until one has succeeded or all have failed, and returns when
// the last one has ended.
func (h *Hedger) Run(ctx context.Context, r Race) {
	g := &activeRace{h: h, race: r, ctx: ctx, ended: make(chan *try, MaxTries), changed: make(chan struct{}, 1)}
	if g.lateAfter = h.startRace(r.Bytes); g.lateAfter >= 0 {
		g.lateAfter += time.Duration(r.Phase % 1024)
	}
	g.startTry()
	timer := time.NewTimer(MaxWait)
	defer timer.Stop()
	for len(g.live) > 0 {
		g.handleNextEvent(timer)
	}
	g.returnPermit()
}

// activeRace is a race under way. Run's goroutine owns it, but for the channels.
type activeRace struct {
	h         *Hedger
	race      Race
	ctx       context.Context // of the one Run it belongs to
	lateAfter time.Duration   // until a request is late; negative: never

	tries       int     // begun
	live        []*try  // in flight
	permit      *permit // to start another try: requested, perhaps granted
	permitsHeld int     // permits in use
	decided     bool
	ended       chan *try     // never blocks its senders
	changed     chan struct{} // capacity 1: a request has begun
}

// handleNextEvent waits for the next thing to happen and handles it.
func (g *activeRace) handleNextEvent(timer *time.Timer) {
	var turn <-chan struct{}
	var tick <-chan time.Time
	if g.permit != nil {
		turn = g.permit.granted
	} else if in, ok := g.lateIn(); ok {
		if in <= 0 {
			g.permit = g.h.requestPermit()
			turn = g.permit.granted
		} else {
			timer.Reset(in)
			tick = timer.C
		}
	}
	select {
	case t := <-g.ended:
		g.handleTryEnd(t)
		return
	default: // an answer that has come is handled first
	}
	select {
	case t := <-g.ended:
		g.handleTryEnd(t)
	case <-turn:
		g.startHedge()
	case <-tick:
	case <-g.changed:
	}
}

// lateIn is the time until another try is due: when every one in flight is
// late. false: not before another event.
func (g *activeRace) lateIn() (time.Duration, bool) {
	if g.decided || g.lateAfter < 0 || g.tries >= MaxTries || len(g.live) == 0 {
		return 0, false
	}
	now := time.Now()
	in := time.Duration(0)
	for _, t := range g.live {
		since, ok := t.requestSince()
		if !ok {
			return 0, false // its Retry pauses
		}
		in = max(in, since.Add(g.lateAfter).Sub(now))
	}
	return in, true
}

// startHedge starts another try, with the permit that was granted, if that is
// still wanted.
func (g *activeRace) startHedge() {
	select {
	case t := <-g.ended:
		g.handleTryEnd(t)
	default:
	}
	if in, ok := g.lateIn(); !ok || in > 0 {
		g.returnPermit()
		return
	}
	g.permit = nil
	g.permitsHeld++
	if g.startTry() {
		g.h.updateStats(func(s *Stats) { s.Hedges++ })
		return
	}
	g.releaseUnusedPermits()
}

// returnPermit returns the permit, if there is one.
func (g *activeRace) returnPermit() {
	if g.permit != nil {
		g.h.returnPermit(g.permit)
		g.permit = nil
	}
}

// startTry starts the next try.
func (g *activeRace) startTry() bool {
	n := g.tries
	g.tries++
	send, err := g.race.Try(n)
	if err != nil {
		g.tries = MaxTries // nor would the next one be prepared
		if n == 0 {
			g.race.OnTryEnd(TryResult{Try: n, Err: err, Decides: true})
		}
		return false
	}
	t := &try{g: g, n: n, begun: time.Now()}
	t.since, t.awaitsAnswer = t.begun, true
	ctx, cancel := context.WithCancel(context.WithValue(g.ctx, tryKey{}, t))
	t.cancel = cancel
	ctx = bucket.WithRequestStart(bucket.WithObserver(ctx, t.requestEnded), t.requestBegun)
	g.live = append(g.live, t)
	go func() {
		defer cancel()
		t.err = send(ctx)
		t.took = time.Since(t.begun)
		g.ended <- t
	}()
	return true
}

// handleTryEnd handles the end of a try.
func (g *activeRace) handleTryEnd(t *try) {
	g.live = slices.DeleteFunc(g.live, func(o *try) bool { return o == t })
	e := TryResult{Try: t.n, Err: t.err, Took: t.took, Live: len(g.live)}
	if t.err == nil && !t.requestReported() {
		g.h.recordLatency(g.race.Bytes, t.took) // it was one request
	}
	if g.decided {
		g.h.removeLoser(t)
	} else if t.err == nil || len(g.live) == 0 || g.race.Final != nil && g.race.Final(t.err) {
		e.Decides = true
		g.decideRace(t)
	}
	g.releaseUnusedPermits()
	g.race.OnTryEnd(e)
}

// decideRace ends the race: this try decided it, or none can any more.
func (g *activeRace) decideRace(t *try) {
	g.decided = true
	if t.n > 0 && t.err == nil {
		g.h.updateStats(func(s *Stats) { s.Won++ })
	}
	for _, o := range g.live {
		o.markLost()
	}
	for _, o := range g.h.addLosers(g.live) {
		o.cancel()
	}
	g.returnPermit()
}

// releaseUnusedPermits releases the permits that are not in use any more.
func (g *activeRace) releaseUnusedPermits() {
	use := max(0, len(g.live)-1)
	if g.decided {
		use = 0
	}
	if g.permitsHeld > use {
		g.h.releasePermits(g.permitsHeld - use)
		g.permitsHeld = use
	}
}
