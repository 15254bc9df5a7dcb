package soak

import "fmt"

// Sweep is one reading of a partition, from its log start on. It is given what is read
// in order, and reports to the history what is lost, reordered, duplicated or changed.
// One goroutine uses it.
type Sweep struct {
	tp      TopicPartition
	history *History
	source  *RecordSource
	start   int64
	next    int64
	// gap is where offsets may jump without a record: after a recovery.
	gapFrom, gapTo int64
	seqs           map[uint32]int64 // by producer, the last sequence
	whole          bool             // nothing was passed over at the start
	bytes          int64            // of batches
	records        int64
	largest        int64 // batch
}

// NewSweep returns a sweep that begins at an offset.
func NewSweep(tp TopicPartition, h *History, s *RecordSource, from int64) *Sweep {
	return &Sweep{tp: tp, history: h, source: s, start: from, next: from, seqs: map[uint32]int64{}, whole: true}
}

// AllowGap allows that offsets of [from, to) were never given out, or are lost, as
// `zonewise recover` says.
func (s *Sweep) AllowGap(from, to int64) { s.gapFrom, s.gapTo = from, to }

// Next is the offset to read next.
func (s *Sweep) Next() int64 { return s.next }

// Totals returns how many records and bytes of batches were read, and whether
// everything from the start on was read.
func (s *Sweep) Totals() (records, bytes int64, whole bool) { return s.records, s.bytes, s.whole }

// AddBatch takes a batch of that many bytes, before its records.
func (s *Sweep) AddBatch(first, last, bytes int64) {
	if first > s.next {
		s.reportHole(first)
	}
	if first < s.next && last < s.next {
		s.history.Report("%v: a batch of offsets %d to %d came after offset %d", s.tp, first, last, s.next-1)
	}
	s.bytes += bytes
	s.largest = max(s.largest, bytes)
}

// AddMarker passes over a control batch.
func (s *Sweep) AddMarker(last int64) { s.next = max(s.next, last+1) }

// AddRecord takes a record.
func (s *Sweep) AddRecord(offset int64, key, value []byte) {
	if offset != s.next {
		if offset < s.next {
			s.history.Report("%v: offset %d after %d", s.tp, offset, s.next-1)
			return
		}
		s.reportHole(offset)
	}
	s.next = offset + 1
	s.records++
	id, err := s.source.ParseRecord(key, value)
	if err != nil {
		s.history.Report("%v at %d: %v", s.tp, offset, err)
		return
	}
	if id.Partition != s.tp.Partition {
		s.history.Report("%v at %d: %v", s.tp, offset, id)
		return
	}
	if want, ok := s.history.At(s.tp, offset); ok && want != id {
		s.history.Report("%v at %d: %v, acknowledged was %v", s.tp, offset, id, want)
	}
	s.checkOrder(offset, id)
}

// checkOrder compares a record with its producer's one before: a producer's records
// come once, in order, and without a hole that is not explained by what its client gave
// up.
func (s *Sweep) checkOrder(offset int64, id RecordID) {
	last, seen := s.seqs[id.Producer]
	if !seen || id.Seq > last {
		s.seqs[id.Producer] = id.Seq
	}
	switch {
	case !seen:
	case id.Seq <= last:
		s.history.Report("%v at %d: %v after its record %d: it is there twice, or out of order", s.tp, offset, id, last)
	case id.Seq-last-1 > s.history.given(recordSeries{id.Producer, id.Partition}):
		s.history.Report("%v at %d: %v after its record %d: %d records between them are lost", s.tp, offset, id, last, id.Seq-last-1)
	}
}

func (s *Sweep) reportHole(to int64) {
	from := s.next
	s.next = to
	if from >= s.gapFrom && to <= s.gapTo {
		return
	}
	s.history.Report("%v: offsets %d to %d are not there; %s", s.tp, from, to-1, s.describeAcked(from, to))
}

func (s *Sweep) describeAcked(from, to int64) string {
	n, first := s.history.Between(s.tp, from, to)
	if n == 0 {
		return "none of them was acknowledged"
	}
	return fmt.Sprintf("%d of them were acknowledged, the first at %d", n, first)
}

// PassLogStart passes over what retention deleted before it was read: the log start is
// there now.
func (s *Sweep) PassLogStart(start int64) {
	if start > s.next {
		s.next, s.whole = start, false
		clear(s.seqs)
	}
}

// Finish checks that everything that was acknowledged below the end was read.
func (s *Sweep) Finish(end int64) {
	if s.next < end {
		s.history.Report("%v: it ends at %d, and its end is %d; %s", s.tp, s.next, end, s.describeAcked(s.next, end))
	}
}

// CheckBytes checks what retention.bytes left: at least that much, if anything was
// deleted at all. A sweep that passed over something proves nothing.
func (s *Sweep) CheckBytes(retention int64) (measured bool) {
	if !s.whole || s.start == 0 {
		return false
	}
	if s.bytes < retention {
		s.history.Report("%v: %d bytes are left from log start %d to %d, fewer than retention.bytes = %d", s.tp, s.bytes, s.start, s.next, retention)
	}
	return true
}

// CheckBytesAtMost checks that retention.bytes is enforced: what is left without the
// first batch is below it. most is what a span may hold.
func (s *Sweep) CheckBytesAtMost(retention, most int64) {
	if s.bytes > retention+most {
		s.history.Report("%v: %d bytes are left from log start %d to %d, more than retention.bytes = %d and a span", s.tp, s.bytes, s.start, s.next, retention)
	}
}
