package metadata

import "testing"

// A session that ends without a last report leaves a gap in the ledger, also the
// first of a cluster, which is older than state time.
func TestASessionThatEndsUnreportedLeavesAGap(t *testing.T) {
	const began = UnixMilli(1_700_000_000_000)
	for name, c := range map[string]struct {
		before, during UnixMilli // ticks before it opens and before it ends, or 0
		gap            int64
	}{
		"ends before the first tick":   {0, 0, 5_000},
		"opens before the first tick":  {0, began, 10_000},
		"ends a second after a tick":   {began, began + 1_000, 6_000},
		"opens and ends between ticks": {began, 0, 5_000},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(1)
			other := w.openSession(t, "a")
			tick := func(to UnixMilli) {
				if to != 0 {
					w.do1(t, Tick{to})
				}
			}
			tick(c.before)
			w.commit(t, &Entry{Session: other.Session, Commands: []Command{Usage{Seq: 1, From: 1, To: 2, Final: true}}})
			lost := w.openSession(t, "a")
			tick(c.during)
			w.do1(t, CloseSession{lost.Session})
			if w.state.gapsMs != c.gap {
				t.Errorf("a gap of %d ms, want %d", w.state.gapsMs, c.gap)
			}
		})
	}
}

// A part of a report does not cover all of its session's time.
func TestPartOfAReportIsNotAllOfIt(t *testing.T) {
	const began = UnixMilli(1_700_000_000_000)
	for _, c := range []struct {
		to  UnixMilli
		gap int64
	}{{1, 8_000}, {2, 5_000}} {
		w := newWorld(1)
		other := w.openSession(t, "a")
		w.do1(t, Tick{began})
		w.commit(t, &Entry{Session: other.Session, Commands: []Command{Usage{Seq: 1, From: 1, To: 2, Final: true}}})
		lost := w.openSession(t, "a")
		w.do1(t, Tick{began + 3_000})
		w.commit(t, &Entry{Session: lost.Session, Commands: []Command{Usage{Seq: 1, From: 1, To: c.to}}})
		w.do1(t, CloseSession{lost.Session})
		if w.state.gapsMs != c.gap {
			t.Errorf("reported from 1 to %d: a gap of %d ms, want %d", c.to, w.state.gapsMs, c.gap)
		}
	}
}
