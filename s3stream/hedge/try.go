package hedge

import (
	"context"
	"sync"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// try is one try of a race: one call, which may make several requests, one
// after the other.
type try struct {
	g      *activeRace
	n      int
	begun  time.Time
	cancel context.CancelFunc

	err  error // set before it ends
	took time.Duration

	mu           sync.Mutex // guards what follows
	since        time.Time  // of the last request
	awaitsAnswer bool       // for its answer
	reported     bool       // a request was reported
	lost         bool       // the race is decided without it
	failed       bool       // the last request was
	answered     bool       // and the store responded
}

type tryKey struct{}

// Lost reports, for the context of a try, whether the race is decided without
// it, so that its result is not used.
func Lost(ctx context.Context) bool {
	t, _ := ctx.Value(tryKey{}).(*try)
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// requestSince returns the time since which a request is in flight.
func (t *try) requestSince() (since time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.since, t.awaitsAnswer
}

func (t *try) requestReported() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reported
}

// markLost records that the try has lost: the request in flight ends by itself,
// and no other one follows.
func (t *try) markLost() {
	t.mu.Lock()
	t.lost = true
	pauses := !t.awaitsAnswer
	t.mu.Unlock()
	if pauses {
		t.cancel()
	}
}

func (t *try) requestBegun(op bucket.Op) {
	if op != t.g.race.Op {
		return
	}
	t.mu.Lock()
	t.since, t.awaitsAnswer = time.Now(), true
	lost, failed, answered := t.lost, t.failed, t.answered
	t.failed = false
	t.mu.Unlock()
	switch {
	case lost:
		t.cancel()
	case failed && answered:
		t.g.h.updateStats(func(s *Stats) { s.Retries++ })
	case failed:
		t.g.h.updateStats(func(s *Stats) { s.Repeats++ })
	}
	select {
	case t.g.changed <- struct{}{}:
	default:
	}
}

func (t *try) requestEnded(a bucket.Attempt) {
	if a.Op != t.g.race.Op {
		return
	}
	ok := a.Status >= 200 && a.Status < 300
	t.mu.Lock()
	took := time.Since(t.since)
	t.awaitsAnswer, t.reported, t.failed, t.answered = false, true, !ok, a.Status != 0
	lost := t.lost
	t.mu.Unlock()
	if ok {
		t.g.h.recordLatency(t.g.race.Bytes, took)
	} else if lost {
		t.cancel()
	}
}
