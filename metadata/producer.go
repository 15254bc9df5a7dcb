package metadata

// producerRanges is how many sequence ranges are kept: Kafka's five batches are
// at most five ranges.
const producerRanges = 5

// producerState is what a partition keeps of one producer.
type producerState struct {
	epoch        ProducerEpoch
	rangeCount   uint8
	ranges       [producerRanges]sequenceRange // oldest first
	lastRevision Revision                      // of the last accepted run
	lastTime     UnixMilli                     // state time of it
}

// sequenceRange is a range in which sequence and offset advanced together.
type sequenceRange struct {
	first  Sequence
	count  uint32
	offset Offset
}

// producerIDBlock records, coarsely, at what time producer ids from one on were
// assigned.
type producerIDBlock struct {
	first    ProducerID
	time     UnixMilli
	revision Revision
}

// SequenceQuery is a run of an idempotent producer to be checked.
type SequenceQuery struct {
	Partition TopicPartition
	Producer  ProducerID
	Epoch     ProducerEpoch
	First     Sequence
	Records   int64
}

// CheckSequence returns the result that apply would give the run now: CodeOK,
// CodeDuplicate with its offset, or why it is refused.
func (s *State) CheckSequence(q SequenceQuery) (Offset, Code) {
	p := s.partition(q.Partition)
	if p == nil {
		return 0, CodeUnknownTopic
	}
	known := s.producers.get(producerKey{q.Partition, q.Producer})
	if known == nil {
		if q.First != 0 && s.mustStartAtZero(q.Producer, p.created) {
			return 0, CodeOutOfOrder
		}
		return 0, CodeOK
	}
	return known.checkSequence(q, s.recovered)
}

// UnverifiedSequenceGap reports whether CheckSequence accepts a run only because
// the producer's last sequence is not known: the partition has no state of the
// producer, or lost it in a recovery, and the run does not begin at 0. Then an
// earlier run may still be on its way.
func (s *State) UnverifiedSequenceGap(q SequenceQuery) bool {
	known := s.producers.get(producerKey{q.Partition, q.Producer})
	if known == nil || q.Epoch != known.epoch {
		return q.First != 0
	}
	last := known.ranges[known.rangeCount-1]
	return q.First != last.first.Add(int64(last.count))
}

// checkSequence checks in this order: the expected sequence, duplicates, the
// epoch.
func (p *producerState) checkSequence(q SequenceQuery, recovered Revision) (Offset, Code) {
	if q.Epoch == p.epoch {
		last := p.ranges[p.rangeCount-1]
		expected := last.first.Add(int64(last.count))
		if q.First == expected {
			return 0, CodeOK
		}
		for i := int(p.rangeCount) - 1; i >= 0; i-- {
			r := p.ranges[i]
			if ahead := q.First.Sub(r.first); ahead+q.Records <= int64(r.count) {
				return r.offset + Offset(ahead), CodeDuplicate
			}
		}
		// What a lost tail acknowledged leaves a gap that cannot be filled: the
		// first run after a recovery may begin beyond it.
		if p.lastRevision <= recovered && q.First.Sub(expected) < MaxRunRecords {
			return 0, CodeOK
		}
		return 0, CodeOutOfOrder
	}
	if q.Epoch < p.epoch {
		return 0, CodeStaleEpoch
	}
	if q.First != 0 && p.lastRevision > recovered {
		return 0, CodeOutOfOrder
	}
	return 0, CodeOK
}

// recordRun records an accepted run.
func (p *producerState) recordRun(q SequenceQuery, at Offset) {
	if p.rangeCount == 0 || q.Epoch != p.epoch {
		p.epoch = q.Epoch
		p.rangeCount = 0
	} else {
		last := &p.ranges[p.rangeCount-1]
		joined := int64(last.count) + q.Records
		if q.First == last.first.Add(int64(last.count)) && at == last.offset+Offset(last.count) && joined <= MaxRunRecords {
			last.count = uint32(joined)
			return
		}
	}
	if p.rangeCount == producerRanges {
		copy(p.ranges[:], p.ranges[1:])
		p.rangeCount--
	}
	p.ranges[p.rangeCount] = sequenceRange{q.First, uint32(q.Records), at}
	p.rangeCount++
}

// mustStartAtZero reports whether a producer without state on a partition must
// begin at sequence 0: its id is younger than the expiry, and the partition is
// older than the id. Otherwise its state may have expired, or the topic may have
// been created again.
func (s *State) mustStartAtZero(id ProducerID, created Revision) bool {
	for i := len(s.producerIDBlocks) - 1; i >= 0; i-- {
		e := s.producerIDBlocks[i]
		if id >= e.first {
			return s.time-e.time < s.configuredExpiry(ProducerExpiryConfig, ProducerExpiry) && created < e.revision && e.revision > s.recovered
		}
	}
	return false
}

// ProducerView is what a partition keeps of a producer.
type ProducerView struct {
	Epoch ProducerEpoch
	Next  Sequence // the sequence expected next
}

// Producer returns what a partition keeps of a producer.
func (s *State) Producer(tp TopicPartition, id ProducerID) (ProducerView, bool) {
	p := s.producers.get(producerKey{tp, id})
	if p == nil {
		return ProducerView{}, false
	}
	last := p.ranges[p.rangeCount-1]
	return ProducerView{p.epoch, last.first.Add(int64(last.count))}, true
}
