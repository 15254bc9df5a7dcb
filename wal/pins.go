package wal

import "github.com/zonewise/zonewise/metadata"

// pins say which lane a partition is in. A partition changes lane only when
// nothing of it is pending in the other one: what arrives meanwhile is parked.
// The WAL's mutex guards them.
type pins map[metadata.TopicPartition]*pin

type pin struct {
	lane    metadata.Lane
	born    uint64 // batches so far
	pending int    // given to the lane and not answered
	parked  []*item
	marks   []*drainMark
}

// drainMark waits for the batches that were pending when it was made.
type drainMark struct {
	upTo uint64 // the last of them, by birth
	left int
	done chan struct{}
}

// enter takes a batch in and reports whether its lane gets it now.
func (p pins) enter(it *item) bool {
	at := p[it.Partition]
	if at == nil {
		at = &pin{lane: it.Lane}
		p[it.Partition] = at
	}
	at.born++
	it.born = at.born
	if at.lane != it.Lane || len(at.parked) > 0 {
		at.parked = append(at.parked, it)
		return false
	}
	at.pending++
	return true
}

// leave takes answered batches out. It returns the marks that are complete
// and the parked batches whose lane may have them now.
func (p pins) leave(items []*item) (complete []*drainMark, free []*item) {
	for _, it := range items {
		at := p[it.Partition]
		at.pending--
		complete = at.count(it, complete)
		if at.pending > 0 {
			continue
		}
		if len(at.parked) == 0 {
			delete(p, it.Partition)
			continue
		}
		at.lane = at.parked[0].Lane
		for len(at.parked) > 0 && at.parked[0].Lane == at.lane {
			free = append(free, at.parked[0])
			at.parked = at.parked[1:]
			at.pending++
		}
	}
	return complete, free
}

func (at *pin) count(it *item, complete []*drainMark) []*drainMark {
	keep := at.marks[:0]
	for _, m := range at.marks {
		if it.born <= m.upTo {
			m.left--
		}
		if m.left == 0 {
			complete = append(complete, m)
		} else {
			keep = append(keep, m)
		}
	}
	at.marks = keep
	return complete
}

// unpark takes the parked batches of a partition, to be answered by the
// caller. They count as pending until leave.
func (p pins) unpark(tp metadata.TopicPartition) []*item {
	at := p[tp]
	if at == nil {
		return nil
	}
	out := at.parked
	at.parked = nil
	at.pending += len(out)
	return out
}

// mark returns a mark for what is pending of the partition, or nil where
// nothing is.
func (p pins) mark(tp metadata.TopicPartition) *drainMark {
	at := p[tp]
	if at == nil {
		return nil
	}
	m := &drainMark{upTo: at.born, left: at.pending + len(at.parked), done: make(chan struct{})}
	at.marks = append(at.marks, m)
	return m
}
