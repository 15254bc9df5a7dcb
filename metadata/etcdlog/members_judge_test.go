package etcdlog

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestALookDecidesByWhatHasAnswered(t *testing.T) {
	well := func(order int) sight { return sight{asked: true, order: order} }
	near := func(s sight) sight { s.near = true; return s }
	pending, failed := sight{asked: true}, sight{asked: true, failed: true}
	for name, c := range map[string]struct {
		seen  []sight // the first is used now
		since time.Duration
		next  int
		done  bool
	}{
		"it answers":                            {[]sight{near(well(1)), pending, pending}, 0, 0, true},
		"it answers, last":                      {[]sight{near(well(3)), well(1), well(2)}, 400 * time.Millisecond, 0, true},
		"too early":                             {[]sight{near(pending), well(1), pending}, 200 * time.Millisecond, 0, false},
		"silent":                                {[]sight{near(pending), well(1), pending}, 250 * time.Millisecond, 1, true},
		"refused, others not asked":             {[]sight{near(failed), {}, {}}, 0, 0, false},
		"refused":                               {[]sight{near(failed), pending, well(1)}, 0, 2, true},
		"the quickest":                          {[]sight{failed, well(2), well(1)}, 0, 2, true},
		"the near one before the quickest":      {[]sight{failed, near(well(2)), well(1)}, 0, 1, true},
		"all are silent":                        {[]sight{near(pending), pending, pending}, 900 * time.Millisecond, 0, false},
		"all are silent for long":               {[]sight{near(pending), pending, pending}, time.Second, 0, true},
		"all refuse":                            {[]sight{failed, failed, failed}, 0, 0, true},
		"it refuses, one more may answer":       {[]sight{failed, failed, pending}, 0, 0, false},
		"alone":                                 {[]sight{near(failed)}, 0, 0, true},
		"silent, and the others have no answer": {[]sight{pending, failed, failed}, 500 * time.Millisecond, 0, false},
	} {
		next, done := choose(0, c.seen, c.since, lookPatience)
		if next != c.next || done != c.done {
			t.Errorf("%s: %d, %v; want %d, %v", name, next, done, c.next, c.done)
		}
	}
}

// Whatever is seen: one that has not answered is never changed to, one that has
// is never left, and after lookTime there is a verdict.
func TestALookNeverChangesToWhatDidNotAnswer(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for range 100_000 {
		seen := make([]sight, 1+rnd.IntN(5))
		for i := range seen {
			seen[i] = sight{near: rnd.IntN(3) == 0, asked: true, failed: rnd.IntN(3) == 0}
			if !seen[i].failed && rnd.IntN(2) == 0 {
				seen[i].order = 1 + rnd.IntN(9)
			}
		}
		current, since := rnd.IntN(len(seen)), time.Duration(rnd.Int64N(int64(1500*time.Millisecond)))
		next, done := choose(current, seen, since, lookPatience)
		switch {
		case !done && since >= lookTime:
			t.Fatalf("no verdict after %v: %+v", since, seen)
		case next != current && (!done || seen[next].order == 0 || seen[current].order > 0):
			t.Fatalf("from %d to %d, %v: %+v", current, next, done, seen)
		}
	}
}
