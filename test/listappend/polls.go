package listappend

import (
	"cmp"
	"fmt"
	"slices"
)

// pollPosition is a consumer's position in an assigned partition.
type pollPosition struct {
	next  int64 // the offset after the last record; or where it was assigned
	known bool  // it has a position
}

// checkPolls checks that the offsets that a consumer receives rise and skip no
// committed record. When a consumer receives an offset, the last stable offset is
// beyond it, so everything before it is decided.
func (x *historyIndex) checkPolls(r *Result) {
	type chair struct{ process, partition int }
	seats := map[chair]pollPosition{}
	saw := x.readTxnsByProcess()
	for i, t := range x.history.Transactions {
		for _, op := range t.Ops {
			if op.Kind != Poll {
				continue
			}
			c := chair{t.Process, op.Partition}
			s := seats[c]
			if op.Assigned {
				s = pollPosition{op.From, true}
			}
			for _, rec := range op.Read {
				if s.known && rec.Offset < s.next {
					r.addAnomaly(NonmonotonicPoll, op.Partition, fmt.Sprintf("process %d was handed offset %d when its position was %d", t.Process, rec.Offset, s.next), i)
				} else if s.known {
					for _, missed := range x.committedBetween(op.Partition, s.next, rec.Offset) {
						x.reportSkipped(r, op.Partition, missed, saw[t.Process], i)
					}
				}
				s = pollPosition{rec.Offset + 1, true}
			}
			seats[c] = s
		}
	}
}

// readTxnsByProcess returns the transactions whose records each process received.
func (x *historyIndex) readTxnsByProcess() map[int]map[int]bool {
	out := map[int]map[int]bool{}
	for _, t := range x.history.Transactions {
		for _, op := range t.Ops {
			for _, rec := range op.Read {
				if w, ok := x.writes[rec.Value]; ok {
					if out[t.Process] == nil {
						out[t.Process] = map[int]bool{}
					}
					out[t.Process][w.txn] = true
				}
			}
		}
	}
	return out
}

// committedBetween returns the committed records in [from, to).
func (x *historyIndex) committedBetween(partition int, from, to int64) []Record {
	list := x.versions[partition]
	find := func(o int64) int {
		i, _ := slices.BinarySearchFunc(list, o, func(a Record, o int64) int { return cmp.Compare(a.Offset, o) })
		return i
	}
	if from >= to {
		return nil
	}
	return list[find(from):find(to)]
}

// reportSkipped reports a committed record that a consumer did not see. Records that
// no consumer saw are reported by checkMissing.
func (x *historyIndex) reportSkipped(r *Result, partition int, rec Record, saw map[int]bool, reader int) {
	w := x.writes[rec.Value]
	if !x.readValues[rec.Value] {
		return
	}
	kind := PollSkip
	if saw[w.txn] {
		kind = PartialRead
	}
	r.addAnomaly(kind, partition, fmt.Sprintf("process %d passed over value %d at offset %d", x.history.Transactions[reader].Process, rec.Value, rec.Offset), w.txn, reader)
}
