package sim

import (
	"cmp"
	"math"
	"slices"
)

// checkRetention: no record expires early. A log start moves only past batches that
// are older than retention.ms in state time, or while what remains is at least
// retention.bytes, as both were set at the time. Late is no violation here.
func (c *checker) checkRetention() {
	for _, tp := range sortedTPs(c.h.LogStarts) {
		if _, gone := c.h.LostPartitions[tp]; gone {
			continue
		}
		list := slices.Clone(c.h.LogStarts[tp])
		slices.SortStableFunc(list, func(a, b LogStart) int {
			return cmp.Or(cmp.Compare(a.Recoveries, b.Recoveries), cmp.Compare(a.Revision, b.Revision))
		})
		for i := 1; i < len(list); i++ {
			a, b := list[i-1], list[i]
			switch {
			case a.Recoveries != b.Recoveries || a.Start == b.Start:
			case b.Start < a.Start:
				c.reportFinding("log start went back", "%v: from %d at revision %d to %d at %d", tp, a.Start, a.Revision, b.Start, b.Revision)
			default:
				c.checkExpired(tp, list, a, b)
			}
		}
	}
}

// checkExpired checks the move of a log start between two states.
func (c *checker) checkExpired(tp TP, all []LogStart, a, b LogStart) {
	ms, bytes := limitOf(a.Time), limitOf(a.Bytes)
	tighten := func(s LogStart) { ms, bytes = min(ms, limitOf(s.Time)), min(bytes, limitOf(s.Bytes)) }
	if tighten(b); b.Change > a.Change+1 { // between the two states there were others
		for i := range retentionTimes() {
			if tp.Topic == ageTopic {
				tighten(LogStart{Time: retentionTimes()[i], Bytes: unlimited})
			} else {
				tighten(LogStart{Time: unlimited, Bytes: retentionSizes()[i]})
			}
		}
	}
	young, remains := false, int64(0)
	c.visitBatches(tp, a.Start, b.Start, b, func(s StoredBatch) { young = young || b.StateTime-s.Time <= ms })
	known := c.visitBatches(tp, b.Start, b.Next, b, func(s StoredBatch) { remains += s.Bytes })
	byAge := ms < math.MaxInt64 && !young
	bySize := bytes < math.MaxInt64 && (remains >= bytes || !known)
	if !byAge && !bySize {
		c.reportFinding("expired early", "%v: the log start moved from %d to %d between revisions %d and %d; %d bytes remain, retention.bytes is %d; retention.ms is %d at state time %d",
			tp, a.Start, b.Start, a.Revision, b.Revision, remains, b.Bytes, b.Time, b.StateTime)
	}
}

func limitOf(v int64) int64 {
	if v < 0 {
		return math.MaxInt64
	}
	return v
}

// visitBatches calls f for the batches in a range of offsets of a state, as far as
// clients know them, and reports whether they know all.
func (c *checker) visitBatches(tp TP, from, to int64, in LogStart, f func(StoredBatch)) (all bool) {
	for from < to {
		if past, lost := c.passLost(tp, from, in); lost {
			from = past
			continue
		}
		b, ok := c.h.StoredBatches[tp][from]
		if !ok {
			return false
		}
		f(b)
		from = b.End
	}
	return true
}

// passLost returns the end of the tail that a recovery before a state lost, where an
// offset is in it.
func (c *checker) passLost(tp TP, offset int64, in LogStart) (int64, bool) {
	for _, l := range c.h.Lost {
		if l.TP == tp && l.At.Before(in.At) && offset >= l.From && offset < l.To {
			return l.To, true
		}
	}
	return offset, false
}
