package listappend

import (
	"cmp"
	"fmt"
	"slices"
)

// write is where a value was sent.
type write struct {
	txn       int
	partition int
	sent      int64
}

// historyIndex indexes the whole history by values and offsets.
type historyIndex struct {
	history    History
	writes     map[Value]write
	readValues map[Value]bool
	valueAt    map[int]map[int64]Value // by partition and offset: what was read there, or acknowledged
	offsetOf   map[Value]int64
	furthest   map[int]int64 // by partition: the highest offset read
	committed  []bool        // by transaction: it committed, by its response or by what was read
	// versions are the committed records of a partition, by offset.
	versions map[int][]Record
}

// Check checks a history.
func Check(h History) Result {
	r := Result{Counts: map[string]int{}}
	x := &historyIndex{history: h, writes: map[Value]write{}, readValues: map[Value]bool{}, valueAt: map[int]map[int64]Value{}, offsetOf: map[Value]int64{},
		furthest: map[int]int64{}, committed: make([]bool, len(h.Transactions)), versions: map[int][]Record{}}
	x.checkSends(&r)
	x.checkReads(&r)
	x.decideCommitted()
	x.checkMissing(&r)
	x.checkPolls(&r)
	x.checkCycles(&r)
	r.Records = len(x.readValues)
	return r
}

// checkSends indexes the sends, and checks that a process's offsets rise.
func (x *historyIndex) checkSends(r *Result) {
	type lane struct{ process, partition int }
	last := map[lane]int64{}
	for i, t := range x.history.Transactions {
		for _, op := range t.Ops {
			if op.Kind != Send {
				continue
			}
			if first, ok := x.writes[op.Sent.Value]; ok {
				r.addAnomaly(Duplicate, op.Partition, fmt.Sprintf("value %d was sent twice: the history is no list-append", op.Sent.Value), first.txn, i)
				continue
			}
			x.writes[op.Sent.Value] = write{i, op.Partition, op.Sent.Offset}
			if op.Sent.Offset == Unknown {
				continue
			}
			x.recordOffset(r, op.Partition, op.Sent, i)
			l := lane{t.Process, op.Partition}
			if before, ok := last[l]; ok && op.Sent.Offset <= before {
				r.addAnomaly(NonmonotonicSend, op.Partition, fmt.Sprintf("process %d sent %d to offset %d after one to offset %d", t.Process, op.Sent.Value, op.Sent.Offset, before), i)
			}
			last[l] = op.Sent.Offset
		}
	}
}

// recordOffset records that a value is at an offset; a contradiction is an anomaly.
func (x *historyIndex) recordOffset(r *Result, partition int, rec Record, txn int) {
	offsets := x.valueAt[partition]
	if offsets == nil {
		offsets = map[int64]Value{}
		x.valueAt[partition] = offsets
	}
	if v, ok := offsets[rec.Offset]; ok && v != rec.Value {
		r.addAnomaly(InconsistentOffset, partition, fmt.Sprintf("offset %d has %d and %d", rec.Offset, v, rec.Value), txn)
	} else if !ok {
		offsets[rec.Offset] = rec.Value
	}
	if o, ok := x.offsetOf[rec.Value]; ok && o != rec.Offset {
		r.addAnomaly(Duplicate, partition, fmt.Sprintf("value %d is at offsets %d and %d", rec.Value, o, rec.Offset), txn)
	} else if !ok {
		x.offsetOf[rec.Value] = rec.Offset
	}
}

// checkReads indexes the reads, and checks that they are of transactions that had
// requested a commit and were not aborted.
func (x *historyIndex) checkReads(r *Result) {
	for i, t := range x.history.Transactions {
		for _, op := range t.Ops {
			if op.Kind != Poll {
				continue
			}
			for _, rec := range op.Read {
				w, known := x.writes[rec.Value]
				if !known || w.partition != op.Partition {
					r.addAnomaly(Phantom, op.Partition, fmt.Sprintf("value %d at offset %d was not sent there", rec.Value, rec.Offset), i)
					continue
				}
				x.recordOffset(r, op.Partition, rec, i)
				x.readValues[rec.Value] = true
				x.furthest[op.Partition] = max(x.furthest[op.Partition], rec.Offset)
				from := x.history.Transactions[w.txn]
				if from.Status == Aborted {
					r.addAnomaly(AbortedRead, op.Partition, fmt.Sprintf("value %d at offset %d is of an aborted transaction", rec.Value, rec.Offset), w.txn, i)
				} else if w.txn == i || op.At != 0 && op.At < from.Ending {
					r.addAnomaly(UncommittedRead, op.Partition, fmt.Sprintf("value %d at offset %d was read before its commit was requested", rec.Value, rec.Offset), w.txn, i)
				}
			}
		}
	}
}

// decideCommitted decides which transactions committed: those with an acknowledged
// commit, and those of unknown outcome with a visible record.
func (x *historyIndex) decideCommitted() {
	for i, t := range x.history.Transactions {
		x.committed[i] = t.Status == Committed
		for _, op := range t.Ops {
			if op.Kind == Send && t.Status == Info && x.readValues[op.Sent.Value] {
				x.committed[i] = true
			}
		}
	}
	for v, w := range x.writes {
		if o, ok := x.offsetOf[v]; ok && x.committed[w.txn] {
			x.versions[w.partition] = append(x.versions[w.partition], Record{o, v})
		}
	}
	for _, list := range x.versions {
		slices.SortFunc(list, func(a, b Record) int {
			return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Value, b.Value))
		})
	}
}

// checkMissing finds values of committed transactions that were never read.
func (x *historyIndex) checkMissing(r *Result) {
	for i, t := range x.history.Transactions {
		for _, op := range t.Ops {
			if op.Kind != Send || !x.committed[i] || x.readValues[op.Sent.Value] {
				continue
			}
			o := op.Sent.Offset
			passed := o != Unknown && x.furthest[op.Partition] > o
			what := fmt.Sprintf("value %d, acknowledged at offset %d, was never read", op.Sent.Value, o)
			switch {
			case t.Status == Info && o != Unknown && (passed || x.history.ReadWhole):
				r.addAnomaly(PartialRead, op.Partition, what+", other values of its transaction were", i)
			case t.Status == Info: // it may not have been appended
			case passed:
				r.addAnomaly(LostWrite, op.Partition, what+fmt.Sprintf(", but offset %d was", x.furthest[op.Partition]), i)
			case x.history.ReadWhole:
				r.addAnomaly(Unseen, op.Partition, what, i)
			}
		}
	}
}
