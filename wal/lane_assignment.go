package wal

import "github.com/zonewise/zonewise/metadata"

// laneAssignments are the lanes of partitions. A partition changes lane only
// when nothing of it is pending in the other one: batches that arrive meanwhile
// are parked. The WAL's mutex guards them.
type laneAssignments map[metadata.TopicPartition]*laneAssignment

type laneAssignment struct {
	lane       metadata.Lane
	arrivals   uint64 // batches so far
	pending    int    // given to the lane and not answered
	parked     []*pendingBatch
	drainMarks []*drainMark
}

// drainMark waits for the batches that were pending when it was made.
type drainMark struct {
	lastArrival uint64 // arrivalNumber of the last of them
	remaining   int
	done        chan struct{}
}

// admitBatch adds a batch and reports whether its lane gets it now.
func (p laneAssignments) admitBatch(it *pendingBatch) bool {
	at := p[it.Partition]
	if at == nil {
		at = &laneAssignment{lane: it.Lane}
		p[it.Partition] = at
	}
	at.arrivals++
	it.arrivalNumber = at.arrivals
	if at.lane != it.Lane || len(at.parked) > 0 {
		at.parked = append(at.parked, it)
		return false
	}
	at.pending++
	return true
}

// removeAnswered removes answered batches. It returns the marks that are
// complete and the parked batches that their lane may have now.
func (p laneAssignments) removeAnswered(items []*pendingBatch) (complete []*drainMark, free []*pendingBatch) {
	for _, it := range items {
		at := p[it.Partition]
		at.pending--
		complete = at.countAnswered(it, complete)
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

func (at *laneAssignment) countAnswered(it *pendingBatch, complete []*drainMark) []*drainMark {
	keep := at.drainMarks[:0]
	for _, m := range at.drainMarks {
		if it.arrivalNumber <= m.lastArrival {
			m.remaining--
		}
		if m.remaining == 0 {
			complete = append(complete, m)
		} else {
			keep = append(keep, m)
		}
	}
	at.drainMarks = keep
	return complete
}

// takeParked takes the parked batches of a partition, which the caller answers.
// They count as pending until removeAnswered.
func (p laneAssignments) takeParked(tp metadata.TopicPartition) []*pendingBatch {
	at := p[tp]
	if at == nil {
		return nil
	}
	out := at.parked
	at.parked = nil
	at.pending += len(out)
	return out
}

// addDrainMark returns a mark for what is pending of the partition, or nil where
// nothing is.
func (p laneAssignments) addDrainMark(tp metadata.TopicPartition) *drainMark {
	at := p[tp]
	if at == nil {
		return nil
	}
	m := &drainMark{lastArrival: at.arrivals, remaining: at.pending + len(at.parked), done: make(chan struct{})}
	at.drainMarks = append(at.drainMarks, m)
	return m
}
