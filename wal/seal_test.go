package wal

import (
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

func TestDecideSealsForItsReasons(t *testing.T) {
	now := time.Unix(1000, 0)
	ms := time.Millisecond
	base := situation{now: now, lane: metadata.LaneStandard, bytes: 200 << 10, due: now.Add(60 * ms), maxBytes: 8 << 20,
		inlineLimit: 96 << 10, apart: true, uploadFree: true, blockedAfter: 7 * ms, earlyPut: true}
	low := func(s *situation) { s.lane = metadata.LaneLow }
	for _, c := range []struct {
		name   string
		change func(*situation)
		want   SealReason
		wait   time.Duration
	}{
		{"empty", func(s *situation) { s.bytes = 0 }, ReasonNone, noWait},
		{"lingers", func(s *situation) {}, ReasonNone, 60 * ms},
		{"linger has passed", func(s *situation) { s.due = now }, ReasonLinger, 0},
		{"full", func(s *situation) { s.bytes, s.uploadFree = 8<<20, false }, ReasonFull, 0},
		{"many runs", func(s *situation) { s.head = metadata.SealRunBytes }, ReasonRuns, 0},
		{"no upload slot", func(s *situation) { s.due, s.uploadFree = now, false }, ReasonNone, noWait},
		{"small waits for a commit slot", func(s *situation) { s.bytes, s.due = 1000, now }, ReasonNone, noWait},
		{"small, no inline budget", func(s *situation) { s.bytes, s.due, s.denied = 1000, now, true }, ReasonLinger, 0},
		{"small, behind an object", func(s *situation) { s.bytes, s.due, s.apart = 1000, now, false }, ReasonLinger, 0},
		{"over the entry's cap", func(s *situation) { s.bytes, s.inlineLimit, s.due = 97<<10, 1<<20, now }, ReasonLinger, 0},
		{"drains", func(s *situation) { s.draining = true }, ReasonDrain, 0},
		{"blocked", func(s *situation) { s.idle = []time.Duration{8 * ms} }, ReasonBlocked, 0},
		{"half are blocked", func(s *situation) { s.idle = []time.Duration{8 * ms, 0} }, ReasonBlocked, 0},
		{"most still send", func(s *situation) { s.idle = []time.Duration{8 * ms, 0, 1 * ms} }, ReasonNone, 6 * ms},
		{"blocked soon", func(s *situation) { s.idle = []time.Duration{5 * ms} }, ReasonNone, 2 * ms},
		{"looked at a moment ago", func(s *situation) { s.unblocked = 3 * ms }, ReasonNone, 3 * ms},
		{"blocked, no PUT to spend", func(s *situation) { s.idle, s.earlyPut = []time.Duration{8 * ms}, false }, ReasonNone, earlyRetry},
		{"low does not linger", low, ReasonNatural, 0},
		{"low spaces its objects", func(s *situation) { low(s); s.lastSeal = now.Add(-4 * ms) }, ReasonNone, 6 * ms},
	} {
		s := base
		c.change(&s)
		if why, wait := decide(s); why != c.want || wait != c.wait {
			t.Errorf("%s: %s after %v, want %s after %v", c.name, why, wait, c.want, c.wait)
		}
	}
}

// A producer with five requests in flight and nothing else to send is not
// held at five batches per linger.
func TestWindowBlockedProducerIsNotHeldByTheLinger(t *testing.T) {
	for _, early := range []float64{-1, 50} {
		inBubble(t, func(c *Config) { c.EarlyPuts = early }, func(r *rig) {
			r.makeTopic(1)
			r.store.fate = func(metadata.ObjectName) fate { return fate{takes: 10 * time.Millisecond} }
			feed := r.w.NewConnectionActivity()
			defer feed.Close()
			var window []*Ack
			count := 0
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				for len(window) < 5 {
					feed.Read(200)
					window = append(window, r.send(made{feed: feed}))
				}
				r.want(window[0], metadata.Offset(count))
				window = window[1:]
				count++
			}
			if early < 0 && (count < 40 || count > 55) {
				t.Errorf("%d batches in a second by linger alone", count)
			}
			if early > 0 && count < 200 {
				t.Errorf("%d batches in a second: held by the linger", count)
			}
			if n := r.w.Stats().Sealed[ReasonBlocked]; early > 0 && float64(n) > 2*early {
				t.Errorf("%d early PUTs, budget %v a second", n, early)
			}
			for i, a := range window {
				r.want(a, metadata.Offset(count+i))
			}
		})
	}
}
