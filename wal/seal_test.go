package wal

import (
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

func TestDecideSealsForItsReasons(t *testing.T) {
	now := time.Unix(1000, 0)
	ms := time.Millisecond
	base := sealInput{now: now, lane: metadata.LaneStandard, bytes: 200 << 10, lingerEnd: now.Add(60 * ms), maxBytes: 8 << 20,
		inlineLimit: 96 << 10, independent: true, uploadFree: true, blockedAfter: 7 * ms, hasEarlyPut: true}
	low := func(s *sealInput) { s.lane = metadata.LaneLow }
	for _, c := range []struct {
		name   string
		change func(*sealInput)
		want   SealReason
		wait   time.Duration
	}{
		{"empty", func(s *sealInput) { s.bytes = 0 }, ReasonNone, noWait},
		{"lingers", func(s *sealInput) {}, ReasonNone, 60 * ms},
		{"linger has passed", func(s *sealInput) { s.lingerEnd = now }, ReasonLinger, 0},
		{"full", func(s *sealInput) { s.bytes, s.uploadFree = 8<<20, false }, ReasonFull, 0},
		{"many runs", func(s *sealInput) { s.headBytes = metadata.SealRunBytes }, ReasonRuns, 0},
		{"no upload slot", func(s *sealInput) { s.lingerEnd, s.uploadFree = now, false }, ReasonNone, noWait},
		{"small waits for a commit slot", func(s *sealInput) { s.bytes, s.lingerEnd = 1000, now }, ReasonNone, noWait},
		{"small, no inline budget", func(s *sealInput) { s.bytes, s.lingerEnd, s.inlineDenied = 1000, now, true }, ReasonLinger, 0},
		{"small, behind an object", func(s *sealInput) { s.bytes, s.lingerEnd, s.independent = 1000, now, false }, ReasonLinger, 0},
		{"over the entry's cap", func(s *sealInput) { s.bytes, s.inlineLimit, s.lingerEnd = 97<<10, 1<<20, now }, ReasonLinger, 0},
		{"drains", func(s *sealInput) { s.draining = true }, ReasonDrain, 0},
		{"blocked", func(s *sealInput) { s.idleTimes = []time.Duration{8 * ms} }, ReasonBlocked, 0},
		{"half are blocked", func(s *sealInput) { s.idleTimes = []time.Duration{8 * ms, 0} }, ReasonBlocked, 0},
		{"most still send", func(s *sealInput) { s.idleTimes = []time.Duration{8 * ms, 0, 1 * ms} }, ReasonNone, 6 * ms},
		{"blocked soon", func(s *sealInput) { s.idleTimes = []time.Duration{5 * ms} }, ReasonNone, 2 * ms},
		{"looked at a moment ago", func(s *sealInput) { s.unblockedFor = 3 * ms }, ReasonNone, 3 * ms},
		{"blocked, no PUT to spend", func(s *sealInput) { s.idleTimes, s.hasEarlyPut = []time.Duration{8 * ms}, false }, ReasonNone, earlyPutRetry},
		{"low does not linger", low, ReasonNatural, 0},
		{"low spaces its objects", func(s *sealInput) { low(s); s.lastSeal = now.Add(-4 * ms) }, ReasonNone, 6 * ms},
	} {
		s := base
		c.change(&s)
		if why, wait := decideSeal(s); why != c.want || wait != c.wait {
			t.Errorf("%s: %s after %v, want %s after %v", c.name, why, wait, c.want, c.wait)
		}
	}
}

// A producer with five requests in flight and nothing else to send is not
// limited to five batches per linger.
func TestWindowBlockedProducerIsNotHeldByTheLinger(t *testing.T) {
	for _, early := range []float64{-1, 50} {
		inBubble(t, func(c *Config) { c.EarlyPuts = early }, func(r *rig) {
			r.makeTopic(1)
			r.store.outcome = func(metadata.ObjectName) uploadOutcome { return uploadOutcome{takes: 10 * time.Millisecond} }
			activity := newActivity()
			defer activity.Close()
			var window []*Ack
			count := 0
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				for len(window) < 5 {
					activity.Read(200)
					window = append(window, r.send(made{activity: activity}))
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
