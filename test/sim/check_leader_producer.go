package sim

import (
	"maps"
	"slices"
)

// checkSentOnce: what a leader producer sent once is stored at most once.
func (c *checker) checkSentOnce(tp TP) {
	sent := map[Record]bool{}
	for _, m := range c.h.LeaderSends {
		sent[m.Record] = true
	}
	seen := map[Record]bool{}
	for _, r := range c.h.finalLog(tp).Reads {
		switch {
		case r.Mark.Kind == MarkGap:
		case !sent[r.Record]:
			c.reportFinding("never sent", "%v offset %d: %v", tp, r.Offset, r.Record)
		case seen[r.Record]:
			c.reportFinding("sent once, stored twice", "%v offset %d: %v", tp, r.Offset, r.Record)
		}
		seen[r.Record] = true
	}
}

// checkSendOrder: the number of connections on which a batch passed an earlier one
// of the same leader producer is at most what brokers have counted (promise 5).
func (c *checker) checkSendOrder() {
	by := map[Record]int{}
	for _, m := range c.h.LeaderSends {
		by[m.Record] = m.Connection
	}
	type connection struct {
		producer string
		number   int
	}
	passers := map[connection]Record{}
	for tp := range c.h.FinalLogs {
		if tp.Topic != leaderProducerTopic {
			continue
		}
		least := map[string]int{} // by producer: the lowest number from here to the end
		for _, r := range slices.Backward(c.h.finalLog(tp).Reads) {
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
	if len(passers) > c.h.OrderRisks {
		for _, r := range slices.SortedFunc(maps.Values(passers), func(a, b Record) int { return a.N - b.N }) {
			c.reportFinding("order lost without being counted", "%v overtook earlier records: %d connections brought such records, brokers counted %d", r, len(passers), c.h.OrderRisks)
		}
	}
}
