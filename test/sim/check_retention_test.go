package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// expiringHistory is a history in which a log start moved past three of five batches of
// 100 bytes, which were sent a second apart.
func expiringHistory(tp TP, limits func(*LogStart)) *History {
	h := newHistory()
	for n := range int64(5) {
		h.addStoredBatch(tp, 10*n, StoredBatch{10*n + 10, 100, 1000 * n, true})
	}
	for i, start := range []int64{0, 30} {
		s := LogStart{Revision: metadata.Revision(7 + i), At: t0, StateTime: 9000, Start: start, Next: 50, Time: unlimited, Bytes: unlimited, Change: 1}
		limits(&s)
		h.LogStarts[tp] = append(h.LogStarts[tp], s)
	}
	h.TrimsRequested[tp] = 30
	return h
}

// A record that expires early is found, one that may go is none.
func TestChecksFindWhatExpiredEarly(t *testing.T) {
	age, size := TP{ageTopic, 0}, TP{sizeTopic, 0}
	for _, c := range []struct {
		name  string
		tp    TP
		set   func(*LogStart)
		spoil func(*History)
		finds string
	}{
		{name: "old enough", tp: age, set: func(s *LogStart) { s.Time = 6999 }},
		{name: "one of three too young", tp: age, set: func(s *LogStart) { s.Time = 7000 }, finds: "expired early"},
		{name: "no limit", tp: age, set: func(*LogStart) {}, finds: "expired early"},
		{name: "enough remains", tp: size, set: func(s *LogStart) { s.Bytes = 200 }},
		{name: "a byte too few remains", tp: size, set: func(s *LogStart) { s.Bytes = 201 }, finds: "expired early"},
		{name: "the limit was tighter just before", tp: size, set: func(s *LogStart) {
			if s.Bytes = 201; s.Start == 0 {
				s.Bytes = 50
			}
		}},
		{name: "the limit was tighter in between", tp: size, set: func(s *LogStart) {
			if s.Bytes = 30_000; s.Start > 0 {
				s.Change = 3
			}
		}, finds: "expired early"},
		{name: "what remains was lost, too", tp: size, set: func(s *LogStart) { s.Bytes = 200 },
			spoil: func(h *History) { h.Lost = []LostTail{{size, 40, 50, t0.Add(-time.Second)}} }, finds: "expired early"},
		{name: "lost later", tp: size, set: func(s *LogStart) { s.Bytes = 200 },
			spoil: func(h *History) { h.Lost = []LostTail{{size, 40, 50, t0.Add(time.Second)}} }},
		{name: "a batch that nobody knows", tp: size, set: func(s *LogStart) { s.Bytes = 1000 }, spoil: func(h *History) { delete(h.StoredBatches[size], 40) }},
		{name: "the start went back", tp: size, set: func(s *LogStart) {
			if s.Bytes = 10; s.Start == 30 {
				s.Revision = 1
			}
		}, finds: "log start went back"},
	} {
		h := expiringHistory(c.tp, c.set)
		if c.spoil != nil {
			c.spoil(h)
		}
		wrong := strings.Join(h.Check(), "; ")
		if c.finds == "" && wrong != "" || !strings.HasPrefix(wrong, c.finds) {
			t.Errorf("%s: found %q, want %q", c.name, wrong, c.finds)
		}
	}
}
