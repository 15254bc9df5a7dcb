package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// checkTxns compares what transactional clients saw with what is read at the end:
// each transaction completely or not at all, at the acknowledged offsets, in order;
// group offsets exactly with the commits; no transaction left open.
func (c *checker) checkTxns() {
	seen := map[Record]int64{}
	for _, tp := range sortedTPs(c.h.CommittedLogs) {
		c.checkCommittedLog(tp, seen)
	}
	if len(c.h.CommittedLogs) == 0 {
		return
	}
	names := slices.SortedFunc(maps.Values(c.h.Txns), func(a, b *Txn) int { return cmp.Or(cmp.Compare(a.ID, b.ID), a.N-b.N) })
	visible := map[string]bool{}
	for _, t := range names {
		visible[t.Name] = c.checkAtomic(t, seen)
	}
	c.checkTxnOffsets(names, visible)
}

// checkCommittedLog: every broker shows the same committed records, each once, in the
// order of their transactions, and no transaction is open.
func (c *checker) checkCommittedLog(tp TP, seen map[Record]int64) {
	by := c.h.CommittedLogs[tp]
	brokers := slices.Sorted(maps.Keys(by))
	first := by[brokers[0]]
	for _, b := range brokers {
		s := by[b]
		if s.LastStableOffset != s.HighWatermark {
			c.reportFinding("transaction still open", "%v at %s: last stable offset %d, end %d", tp, b, s.LastStableOffset, s.HighWatermark)
		}
		if !slices.Equal(s.Reads, first.Reads) {
			c.reportFinding("committed records differ", "%v: %s shows %d, %s shows %d", tp, b, len(s.Reads), brokers[0], len(first.Reads))
		}
	}
	last := map[string]int{} // by id: number of the newest transaction
	next := map[string]int{} // by name: record
	for _, r := range first.Reads {
		t := c.h.Txns[r.Record.Producer]
		if t == nil || r.Record.TP != tp || r.Record.N >= t.Sent[tp] {
			c.reportFinding("never sent", "%v offset %d: %v", tp, r.Offset, r.Record)
			continue
		}
		if t.UncertainBatch {
			continue
		}
		if t.N < last[t.ID] || r.Record.N != next[t.Name] {
			c.reportFinding("transaction out of order", "%v offset %d: %v, expected #%d, after transaction %d", tp, r.Offset, r.Record, next[t.Name], last[t.ID])
		}
		last[t.ID], next[t.Name] = t.N, r.Record.N+1
		seen[r.Record] = r.Offset
	}
}

// checkAtomic: all acknowledged records of a transaction are visible, or none, as its
// outcome requires if that is known. It returns whether they are visible.
func (c *checker) checkAtomic(t *Txn, seen map[Record]int64) bool {
	if t.UncertainBatch {
		return false
	}
	found, missing := 0, 0
	var lacks Record
	for _, a := range t.Acks {
		for i := range a.Count {
			r := a.First
			r.N += i
			at, ok := seen[r]
			if !ok {
				missing++
				lacks = r
				continue
			}
			found++
			if a.Base != Unknown && at != a.Base+int64(i) {
				c.reportFinding("committed at another offset", "%v was acknowledged at offset %d and is at %d", r, a.Base+int64(i), at)
			}
		}
	}
	unacked := 0 // records that were not acknowledged before the commit must not be visible
	for tp, n := range t.Sent {
		for i := range n {
			if _, ok := seen[Record{t.Name, tp, i}]; ok {
				unacked++
			}
		}
	}
	unacked -= found
	switch {
	case found > 0 && missing > 0:
		c.reportFinding("transaction torn", "%s: %d records are committed, %d are not, %v among them", t.Name, found, missing, lacks)
	case unacked > 0:
		c.reportFinding("transaction torn", "%s: %d records are committed that were not acknowledged", t.Name, unacked)
	case found > 0 && (t.CommitSent.IsZero() || t.Dead):
		c.reportFinding("committed without a commit request", "%s: %d records; commit requested: %v, cannot have committed: %v", t.Name, found, !t.CommitSent.IsZero(), t.Dead)
	case missing > 0 && t.Committed && !c.recoveredAfter(t.Ended):
		c.reportFinding("committed and lost", "%s: %d records, %v among them", t.Name, missing, lacks)
	}
	return found > 0
}

// recoveredAfter reports whether a recovery may have lost what was acknowledged at
// the given time.
func (c *checker) recoveredAfter(at time.Time) bool {
	for _, l := range c.h.Lost {
		if at.Before(l.At) {
			return true
		}
	}
	return false
}

// farOffset is beyond every offset that a transaction commits: a larger fetched
// offset is the end of a recovery's gap.
const farOffset = 1 << 30

// checkTxnOffsets: a group's offset is that of a transaction whose commit was
// requested, never older than an acknowledged one, and at the end that of the last
// transaction whose records are visible.
func (c *checker) checkTxnOffsets(txns []*Txn, visible map[string]bool) {
	byOffset, final := map[string]map[int64]*Txn{}, map[string]int64{}
	for _, t := range txns {
		if byOffset[t.ID] == nil {
			byOffset[t.ID], final[t.ID] = map[int64]*Txn{}, -1
		}
		if t.Offset != 0 {
			byOffset[t.ID][t.Offset] = t
			if visible[t.Name] {
				final[t.ID] = t.Offset
			}
		}
	}
	last := map[string]TxnFetch{}
	for _, f := range c.h.TxnFetches {
		last[f.ID] = f
		if t := byOffset[f.ID][f.Offset]; f.Offset < farOffset && f.Offset != -1 && (t == nil || t.CommitSent.IsZero() || t.CommitSent.After(f.End) || t.Dead) {
			c.reportFinding("group offset without a commit", "group of %s: %d is fetched", f.ID, f.Offset)
		}
		for _, t := range byOffset[f.ID] {
			if t.Committed && t.Ended.Before(f.Begun) && t.Offset > f.Offset && !c.recoveredBetween(t.Ended, f.End) {
				c.reportFinding("committed group offset lost", "group of %s: %d is fetched after %s with %d was committed", f.ID, f.Offset, t.Name, t.Offset)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(last)) {
		if f := last[id]; !c.h.mayFetchAs(sourcePartition, final[id], f.Offset) {
			c.reportFinding("group offset and records differ", "group of %s: %d at the end; the last transaction with records that commits one has %d", id, f.Offset, final[id])
		}
	}
}
