package etcdlog

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestALookDecidesByWhatHasAnswered(t *testing.T) {
	answered := func(order int) probeState { return probeState{sent: true, order: order} }
	near := func(s probeState) probeState { s.sameZone = true; return s }
	pending, failed := probeState{sent: true}, probeState{sent: true, failed: true}
	for name, c := range map[string]struct {
		seen  []probeState // the first is in use
		since time.Duration
		next  int
		done  bool
	}{
		"it answers":                            {[]probeState{near(answered(1)), pending, pending}, 0, 0, true},
		"it answers, last":                      {[]probeState{near(answered(3)), answered(1), answered(2)}, 400 * time.Millisecond, 0, true},
		"too early":                             {[]probeState{near(pending), answered(1), pending}, 200 * time.Millisecond, 0, false},
		"silent":                                {[]probeState{near(pending), answered(1), pending}, 250 * time.Millisecond, 1, true},
		"refused, others not probed":            {[]probeState{near(failed), {}, {}}, 0, 0, false},
		"refused":                               {[]probeState{near(failed), pending, answered(1)}, 0, 2, true},
		"the quickest":                          {[]probeState{failed, answered(2), answered(1)}, 0, 2, true},
		"the near one before the quickest":      {[]probeState{failed, near(answered(2)), answered(1)}, 0, 1, true},
		"all are silent":                        {[]probeState{near(pending), pending, pending}, 900 * time.Millisecond, 0, false},
		"all are silent for long":               {[]probeState{near(pending), pending, pending}, time.Second, 0, true},
		"all refuse":                            {[]probeState{failed, failed, failed}, 0, 0, true},
		"it refuses, one more may answer":       {[]probeState{failed, failed, pending}, 0, 0, false},
		"alone":                                 {[]probeState{near(failed)}, 0, 0, true},
		"silent, and the others have no answer": {[]probeState{pending, failed, failed}, 500 * time.Millisecond, 0, false},
	} {
		next, done := chooseMember(0, c.seen, c.since, searchGiveUpAfter)
		if next != c.next || done != c.done {
			t.Errorf("%s: %d, %v; want %d, %v", name, next, done, c.next, c.done)
		}
	}
}

// In all cases: a member that has not answered is never chosen, one that has is
// never replaced, and after searchTimeout there is a result.
func TestALookNeverChangesToWhatDidNotAnswer(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for range 100_000 {
		seen := make([]probeState, 1+rnd.IntN(5))
		for i := range seen {
			seen[i] = probeState{sameZone: rnd.IntN(3) == 0, sent: true, failed: rnd.IntN(3) == 0}
			if !seen[i].failed && rnd.IntN(2) == 0 {
				seen[i].order = 1 + rnd.IntN(9)
			}
		}
		current, since := rnd.IntN(len(seen)), time.Duration(rnd.Int64N(int64(1500*time.Millisecond)))
		next, done := chooseMember(current, seen, since, searchGiveUpAfter)
		switch {
		case !done && since >= searchTimeout:
			t.Fatalf("no verdict after %v: %+v", since, seen)
		case next != current && (!done || seen[next].order == 0 || seen[current].order > 0):
			t.Fatalf("from %d to %d, %v: %+v", current, next, done, seen)
		}
	}
}
