package sim

import (
	"maps"
	"slices"
)

// moved: what a mover sent once is there at most once.
func (c *checker) moved(tp TP) {
	sent := map[Record]bool{}
	for _, m := range c.h.Moved {
		sent[m.Record] = true
	}
	seen := map[Record]bool{}
	for _, r := range c.h.tail(tp).Reads {
		switch {
		case r.Mark.Kind == MarkGap:
		case !sent[r.Record]:
			c.bad("never sent", "%v offset %d: %v", tp, r.Offset, r.Record)
		case seen[r.Record]:
			c.bad("sent once and there twice", "%v offset %d: %v", tp, r.Offset, r.Record)
		}
		seen[r.Record] = true
	}
}

// passed: no more connections of movers brought something that passed what the same
// mover had sent before than brokers have counted (promise 5).
func (c *checker) passed() {
	by := map[Record]int{}
	for _, m := range c.h.Moved {
		by[m.Record] = m.Connection
	}
	type connection struct {
		mover  string
		number int
	}
	passers := map[connection]Record{}
	for tp := range c.h.Log {
		if tp.Topic != moving {
			continue
		}
		least := map[string]int{} // by mover: the lowest number from here to the end
		for _, r := range slices.Backward(c.h.tail(tp).Reads) {
			if r.Mark.Kind == MarkGap {
				continue
			}
			m, n := r.Record.Producer, r.Record.N
			if low, ok := least[m]; ok && low < n {
				passers[connection{m, by[r.Record]}] = r.Record
			} else {
				least[m] = n
			}
		}
	}
	if len(passers) > c.h.Risked {
		for _, r := range slices.SortedFunc(maps.Values(passers), func(a, b Record) int { return a.N - b.N }) {
			c.bad("order lost unsaid", "%v passed what was sent before: %d connections brought such records, brokers counted %d", r, len(passers), c.h.Risked)
		}
	}
}
