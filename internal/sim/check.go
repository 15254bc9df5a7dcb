package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Check holds a history against the promises and returns what is broken.
func (h *History) Check() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &checker{h: h}
	c.out = append(c.out, h.Wrong...)
	for _, tp := range sortedTPs(h.Log) {
		c.brokersAgree(tp)
		c.contiguous(tp)
		switch {
		case tp.Topic == moving:
			c.moved(tp)
		case !tp.transactional() && tp.Topic != knocks && tp.Topic != tempTopic:
			c.onceAndInOrder(tp)
		}
		c.trimmed(tp)
	}
	c.passed()
	c.acked()
	c.ackedOnce()
	c.readers()
	c.txns()
	c.offsets()
	c.owners()
	c.held()
	c.hashes()
	c.ledger()
	c.live()
	return c.out
}

func sortedTPs[V any](m map[TP]V) []TP {
	return slices.SortedFunc(maps.Keys(m), func(a, b TP) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

type checker struct {
	h   *History
	out []string
}

// maxReports is how many findings of one kind are worth reading.
const maxReports = 5

func (c *checker) bad(kind, format string, args ...any) {
	same := 0
	for _, o := range c.out {
		if len(o) > len(kind) && o[:len(kind)] == kind {
			same++
		}
	}
	if same < maxReports {
		c.out = append(c.out, kind+": "+fmt.Sprintf(format, args...))
	}
}

// tail is the partition as the first broker serves it; brokersAgree says that
// the others do the same.
func (h *History) tail(tp TP) Tail {
	by := h.Log[tp]
	if len(by) == 0 {
		return Tail{} // nobody could be asked, which is reported elsewhere
	}
	return by[slices.Min(slices.Collect(maps.Keys(by)))]
}

// brokersAgree: every broker serves the same records (promise 2).
func (c *checker) brokersAgree(tp TP) {
	want := c.h.tail(tp)
	for _, name := range slices.Sorted(maps.Keys(c.h.Log[tp])) {
		got := c.h.Log[tp][name]
		if got.Start != want.Start || got.End != want.End || !slices.Equal(got.Reads, want.Reads) {
			c.bad("brokers differ", "%v: %s serves %d records in [%d,%d), another %d in [%d,%d)", tp, name,
				len(got.Reads), got.Start, got.End, len(want.Reads), want.Start, want.End)
		}
	}
}

// contiguous: no offset is missing and none comes twice (promise 5).
func (c *checker) contiguous(tp TP) {
	t := c.h.tail(tp)
	next := t.Start
	for _, r := range t.Reads {
		if r.Offset != next && !c.h.jumpedTo(tp, next, r) {
			c.bad("gap", "%v: offset %d follows %d", tp, r.Offset, next-1)
		}
		next = r.Offset + 1
	}
	if next != t.End && !c.h.jumped(tp, next, t.End) {
		c.bad("gap", "%v: the last record is at %d, the end at %d", tp, next-1, t.End)
	}
}

// onceAndInOrder: each record of an idempotent producer is there at most once,
// and each producer's first appearances are in its order (promise 5).
func (c *checker) onceAndInOrder(tp TP) {
	sure := map[string]bool{}
	sent := map[string]int{}
	for _, b := range c.h.Sent {
		if b.First.TP == tp {
			sure[b.First.Producer] = b.Idempotent
			sent[b.First.Producer] = max(sent[b.First.Producer], b.First.N+b.Count)
		}
	}
	last, at := map[string]int{}, map[string]int64{}
	for _, r := range c.h.tail(tp).Reads {
		if r.Mark.Kind == MarkGap {
			continue
		}
		p, n := r.Record.Producer, r.Record.N
		if r.Record.TP != tp || n >= sent[p] {
			c.bad("never sent", "%v offset %d: %v", tp, r.Offset, r.Record)
			continue
		}
		before, seen := last[p]
		switch {
		case seen && n <= before && sure[p]:
			c.bad("twice or out of order", "%v offset %d: %v after #%d (at %d) of the same idempotent producer", tp, r.Offset, r.Record, before, at[p])
		case seen && n <= before:
			continue // a retry of a producer without idempotence
		case !seen && n > 0 || seen && n > before+1:
			if !c.mayMiss(r.Record, before, seen) {
				c.bad("out of order", "%v offset %d: %v comes before the records since #%d", tp, r.Offset, r.Record, before)
			}
		}
		last[p], at[p] = n, r.Offset
	}
}

// mayMiss reports whether records between two of a producer may be absent:
// trimmed away, or lost with a tail.
func (c *checker) mayMiss(r Record, before int, seen bool) bool {
	from := 0
	if seen {
		from = before + 1
	}
	if !seen && c.h.tail(r.TP).Start > 0 {
		return true
	}
	for _, a := range c.h.Acks {
		if a.First.Producer != r.Producer || a.First.TP != r.TP || a.First.N >= r.N || a.First.N+a.Count <= from {
			continue
		}
		if a.Base == Unknown || !c.h.lost(r.TP, a.Base, a.At) {
			return false
		}
	}
	return len(c.h.Lost) > 0
}

// acked: every acknowledged record is where its ack says (promise 1).
func (c *checker) acked() {
	at := map[TP]map[int64]Record{}
	where := map[Record]bool{}
	for tp := range c.h.Log {
		at[tp] = map[int64]Record{}
		for _, r := range c.h.tail(tp).Reads {
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
				if !where[r] && c.h.tail(tp).Start == 0 && len(c.h.Lost) == 0 {
					c.bad("acknowledged and lost", "%v, answered as a duplicate, is nowhere", r)
				}
				continue
			}
			o := a.Base + int64(i)
			if o < c.h.tail(tp).Start || c.h.lost(tp, o, a.At) {
				continue
			}
			if got, ok := at[tp][o]; !ok {
				c.bad("acknowledged and lost", "%v was acknowledged at offset %d: nothing is there", r, o)
			} else if got != r {
				c.bad("acknowledged and replaced", "%v was acknowledged at offset %d: %v is there", r, o, got)
			}
		}
	}
}

// ackedOnce: no offset is given twice with different content, lost tails and
// recoveries included (promises 1 and 5).
func (c *checker) ackedOnce() {
	given := map[TP]map[int64]Record{}
	for _, a := range c.h.Acks {
		tp := a.First.TP
		if given[tp] == nil {
			given[tp] = map[int64]Record{}
		}
		for i := range a.Count {
			if a.Base == Unknown || a.At.Before(c.h.Gone[tp]) {
				continue
			}
			r, o := a.First, a.Base+int64(i)
			r.N += i
			if other, ok := given[tp][o]; ok && other != r {
				c.bad("offset given twice", "%v offset %d: to %v and to %v", tp, o, other, r)
			}
			given[tp][o] = r
		}
	}
}

// live: everything that was sent is acknowledged in the end.
func (c *checker) live() {
	done := map[Record]bool{}
	for _, a := range c.h.Acks {
		done[a.First] = true
	}
	for _, b := range c.h.Sent {
		if !done[b.First] {
			c.bad("never acknowledged", "%v and %d more", b.First, b.Count-1)
		}
	}
}

// trimmed: the log starts where DeleteRecords was told, and not beyond what it
// was asked for.
func (c *checker) trimmed(tp TP) {
	start := c.h.tail(tp).Start
	if start < c.h.Trimmed[tp] && len(c.h.Lost) == 0 {
		c.bad("deleted records are back", "%v starts at %d; up to %d was deleted", tp, start, c.h.Trimmed[tp])
	}
	if start > c.h.Trims[tp] {
		c.bad("start moved", "%v starts at %d; only up to %d was to be deleted", tp, start, c.h.Trims[tp])
	}
}
