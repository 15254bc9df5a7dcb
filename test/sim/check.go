package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Check compares a history with the promises and returns the violations.
func (h *History) Check() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &checker{h: h}
	c.findings = append(c.findings, h.Violations...)
	for _, tp := range sortedTPs(h.FinalLogs) {
		c.checkBrokersAgree(tp)
		c.checkContiguous(tp)
		switch {
		case tp.Topic == leaderProducerTopic:
			c.checkSentOnce(tp)
		case !tp.isTransactional() && tp.Topic != barrierTopic && tp.Topic != churnTopic:
			c.checkOnceInOrder(tp)
		}
		c.checkTrimmed(tp)
	}
	c.checkSendOrder()
	c.checkAcked()
	c.checkOffsetsUnique()
	c.checkReaders()
	c.checkRetention()
	c.checkTxns()
	c.checkOffsets()
	c.checkAssignments()
	c.checkOwnerships()
	c.checkHashes()
	c.checkLedger()
	c.checkAllAcked()
	return c.findings
}

func sortedTPs[V any](m map[TP]V) []TP {
	return slices.SortedFunc(maps.Keys(m), func(a, b TP) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

type checker struct {
	h        *History
	findings []string
}

// maxReports bounds the reported violations of one kind.
const maxReports = 5

func (c *checker) reportFinding(kind, format string, args ...any) {
	same := 0
	for _, o := range c.findings {
		if len(o) > len(kind) && o[:len(kind)] == kind {
			same++
		}
	}
	if same < maxReports {
		c.findings = append(c.findings, kind+": "+fmt.Sprintf(format, args...))
	}
}

// finalLog returns the partition as the first broker serves it; checkBrokersAgree
// checks that the others serve the same.
func (h *History) finalLog(tp TP) FinalLog {
	by := h.FinalLogs[tp]
	if len(by) == 0 {
		return FinalLog{} // no broker could be read, which is reported elsewhere
	}
	return by[slices.Min(slices.Collect(maps.Keys(by)))]
}

// checkBrokersAgree: every broker serves the same records (promise 2).
func (c *checker) checkBrokersAgree(tp TP) {
	want := c.h.finalLog(tp)
	for _, name := range slices.Sorted(maps.Keys(c.h.FinalLogs[tp])) {
		got := c.h.FinalLogs[tp][name]
		if got.Start != want.Start || got.End != want.End || !slices.Equal(got.Reads, want.Reads) {
			c.reportFinding("brokers differ", "%v: %s serves %d records in [%d,%d), another %d in [%d,%d)", tp, name,
				len(got.Reads), got.Start, got.End, len(want.Reads), want.Start, want.End)
		}
	}
}

// checkContiguous: no offset is missing and none appears twice (promise 5).
func (c *checker) checkContiguous(tp TP) {
	t := c.h.finalLog(tp)
	next := t.Start
	for _, r := range t.Reads {
		if r.Offset != next && !c.h.recoverySkippedTo(tp, next, r) {
			c.reportFinding("gap", "%v: offset %d follows %d", tp, r.Offset, next-1)
		}
		next = r.Offset + 1
	}
	if next != t.End && !c.h.recoverySkipped(tp, next, t.End) {
		c.reportFinding("gap", "%v: the last record is at %d, the end at %d", tp, next-1, t.End)
	}
}

// checkOnceInOrder: each record of an idempotent producer appears at most once,
// and each producer's first appearances are in its order (promise 5).
func (c *checker) checkOnceInOrder(tp TP) {
	sure := map[string]bool{}
	sent := map[string]int{}
	for _, b := range c.h.Sent {
		if b.First.TP == tp {
			sure[b.First.Producer] = b.Idempotent
			sent[b.First.Producer] = max(sent[b.First.Producer], b.First.N+b.Count)
		}
	}
	last, at := map[string]int{}, map[string]int64{}
	for _, r := range c.h.finalLog(tp).Reads {
		if r.Mark.Kind == MarkGap {
			continue
		}
		p, n := r.Record.Producer, r.Record.N
		if r.Record.TP != tp || n >= sent[p] {
			c.reportFinding("never sent", "%v offset %d: %v", tp, r.Offset, r.Record)
			continue
		}
		before, seen := last[p]
		switch {
		case seen && n <= before && sure[p]:
			c.reportFinding("twice or out of order", "%v offset %d: %v after #%d (at %d) of the same idempotent producer", tp, r.Offset, r.Record, before, at[p])
		case seen && n <= before:
			continue // a retry of a producer without idempotence
		case !seen && n > 0 || seen && n > before+1:
			if !c.mayMiss(r.Record, before, seen) {
				c.reportFinding("out of order", "%v offset %d: %v comes before the records since #%d", tp, r.Offset, r.Record, before)
			}
		}
		last[p], at[p] = n, r.Offset
	}
}

// mayMiss reports whether records between two of a producer may be absent:
// trimmed, or lost with a tail.
func (c *checker) mayMiss(r Record, before int, seen bool) bool {
	from := 0
	if seen {
		from = before + 1
	}
	if !seen && c.h.finalLog(r.TP).Start > 0 {
		return true
	}
	for _, a := range c.h.Acks {
		if a.First.Producer != r.Producer || a.First.TP != r.TP || a.First.N >= r.N || a.First.N+a.Count <= from {
			continue
		}
		if a.Base == Unknown || !c.h.wasLost(r.TP, a.Base, a.At) {
			return false
		}
	}
	return len(c.h.Lost) > 0
}

// checkAcked: every acknowledged record is where its ack says (promise 1).
func (c *checker) checkAcked() {
	at := map[TP]map[int64]Record{}
	where := map[Record]bool{}
	for tp := range c.h.FinalLogs {
		at[tp] = map[int64]Record{}
		for _, r := range c.h.finalLog(tp).Reads {
			at[tp][r.Offset] = r.Record
			where[r.Record] = true
		}
	}
	for _, a := range c.h.Acks {
		tp := a.First.TP
		for i := range a.Count {
			r := a.First
			r.N += i
			if a.Base == Unknown {
				if !where[r] && c.h.finalLog(tp).Start == 0 && len(c.h.Lost) == 0 {
					c.reportFinding("acknowledged and lost", "%v, acknowledged as a duplicate, was not found", r)
				}
				continue
			}
			o := a.Base + int64(i)
			if o < c.h.finalLog(tp).Start || c.h.wasLost(tp, o, a.At) {
				continue
			}
			if got, ok := at[tp][o]; !ok {
				c.reportFinding("acknowledged and lost", "%v was acknowledged at offset %d, which has no record", r, o)
			} else if got != r {
				c.reportFinding("acknowledged and replaced", "%v was acknowledged at offset %d, which holds %v", r, o, got)
			}
		}
	}
}

// checkOffsetsUnique: no offset is assigned twice with different content, including
// lost tails and recoveries (promises 1 and 5).
func (c *checker) checkOffsetsUnique() {
	given := map[TP]map[int64]Record{}
	for _, a := range c.h.Acks {
		tp := a.First.TP
		if given[tp] == nil {
			given[tp] = map[int64]Record{}
		}
		for i := range a.Count {
			if a.Base == Unknown || a.At.Before(c.h.LostPartitions[tp]) {
				continue
			}
			r, o := a.First, a.Base+int64(i)
			r.N += i
			if other, ok := given[tp][o]; ok && other != r {
				c.reportFinding("offset given twice", "%v offset %d: to %v and to %v", tp, o, other, r)
			}
			given[tp][o] = r
		}
	}
}

// checkAllAcked: every sent batch is acknowledged at the end.
func (c *checker) checkAllAcked() {
	done := map[Record]bool{}
	for _, a := range c.h.Acks {
		done[a.First] = true
	}
	for _, b := range c.h.Sent {
		if !done[b.First] {
			c.reportFinding("never acknowledged", "%v and %d more", b.First, b.Count-1)
		}
	}
}

// checkTrimmed: the log starts at or after the offset that DeleteRecords
// acknowledged, and not beyond the offset that was requested.
func (c *checker) checkTrimmed(tp TP) {
	start := c.h.finalLog(tp).Start
	if start < c.h.TrimsDone[tp] && len(c.h.Lost) == 0 {
		c.reportFinding("deleted records are back", "%v starts at %d; up to %d was deleted", tp, start, c.h.TrimsDone[tp])
	}
	if start > c.h.TrimsRequested[tp] {
		c.reportFinding("start moved", "%v starts at %d; only up to %d was to be deleted", tp, start, c.h.TrimsRequested[tp])
	}
}
