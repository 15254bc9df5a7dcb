package soak

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String returns the name as Kafka's tools write it.
func (tp TopicPartition) String() string { return fmt.Sprintf("%s-%d", tp.Topic, tp.Partition) }

// Limits of what a History remembers: eight bytes for a record in retention, and a
// mark for each quarter of a second of each partition.
const (
	blockOffsets = 4096
	markEvery    = 250 * time.Millisecond
	maxMarks     = 2400 // ten minutes
	maxProblems  = 50
)

// Mark is one acknowledged record of many: when it was made, by its own timestamp, when
// it was acknowledged, and where.
type Mark struct {
	Made, Acked time.Time
	Offset      int64
}

// History is what was acknowledged and can still be in retention, and what was found to
// be wrong. Its methods may be called by many goroutines.
type History struct {
	mu         sync.Mutex
	partitions map[TopicPartition]*partitionHistory
	acked      int64
	bytes      int64
	givenUp    map[recordSeries]int64
	lastAck    time.Time
	longest    time.Duration // between two acknowledgements
	problems   []string
	more       int // problems beyond maxProblems
}

// recordSeries is the records of a producer on a partition.
type recordSeries struct {
	producer  uint32
	partition int32
}

type partitionHistory struct {
	blocks map[int64]*[blockOffsets]uint64 // packed ids; 0: not acknowledged
	base   int64                           // below it everything is forgotten
	end    int64                           // after the highest acknowledged offset
	marks  []Mark
}

// NewHistory returns an empty history.
func NewHistory() *History {
	return &History{partitions: map[TopicPartition]*partitionHistory{}, givenUp: map[recordSeries]int64{}}
}

func (h *History) partition(tp TopicPartition) *partitionHistory {
	p := h.partitions[tp]
	if p == nil {
		p = &partitionHistory{blocks: map[int64]*[blockOffsets]uint64{}}
		h.partitions[tp] = p
	}
	return p
}

// packID packs an id into eight bytes: 24 bits of producer, 40 of sequence, which
// begins with 1.
func packID(id RecordID) uint64 { return uint64(id.Producer)<<40 | uint64(id.Seq+1) }

func unpackID(v uint64, partition int32) RecordID {
	return RecordID{uint32(v >> 40), partition, int64(v&(1<<40-1)) - 1}
}

// Acked remembers that a record was acknowledged at an offset.
func (h *History) Acked(tp TopicPartition, offset int64, id RecordID, made time.Time, size int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if !h.lastAck.IsZero() {
		h.longest = max(h.longest, now.Sub(h.lastAck))
	}
	h.lastAck = now
	h.acked++
	h.bytes += int64(size)
	p := h.partition(tp)
	if n := len(p.marks); n == 0 || now.Sub(p.marks[n-1].Acked) >= markEvery && offset > p.marks[n-1].Offset {
		if n >= maxMarks {
			p.marks = slices.Delete(p.marks, 0, n/2)
		}
		p.marks = append(p.marks, Mark{made, now, offset})
	}
	p.end = max(p.end, offset+1)
	if offset < p.base {
		return // retention was faster than the answer
	}
	b := p.blocks[offset/blockOffsets]
	if b == nil {
		b = new([blockOffsets]uint64)
		p.blocks[offset/blockOffsets] = b
	}
	at := &b[offset%blockOffsets]
	if *at != 0 && *at != packID(id) {
		h.report("%v: offset %d was acknowledged for %v and for %v", tp, offset, unpackID(*at, tp.Partition), id)
	}
	*at = packID(id)
}

// GaveUp remembers that a producer's client gave a record up.
func (h *History) GaveUp(id RecordID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.givenUp[recordSeries{id.Producer, id.Partition}]++
}

// At returns what was acknowledged at an offset.
func (h *History) At(tp TopicPartition, offset int64) (id RecordID, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.partition(tp).blocks[offset/blockOffsets]; b != nil && b[offset%blockOffsets] != 0 {
		return unpackID(b[offset%blockOffsets], tp.Partition), true
	}
	return id, false
}

// Between returns how many records were acknowledged at offsets of [from, to), and the
// first of them.
func (h *History) Between(tp TopicPartition, from, to int64) (n int, first int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first = -1
	p := h.partition(tp)
	for at, b := range p.blocks {
		if (at+1)*blockOffsets <= from || at*blockOffsets >= to {
			continue
		}
		for i, v := range b {
			if offset := at*blockOffsets + int64(i); v != 0 && offset >= from && offset < to {
				if n++; first < 0 || offset < first {
					first = offset
				}
			}
		}
	}
	return n, first
}

// Forget forgets what was acknowledged below an offset.
func (h *History) Forget(tp TopicPartition, below int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.partition(tp)
	p.base = max(p.base, below)
	for at := range p.blocks {
		if (at+1)*blockOffsets <= p.base {
			delete(p.blocks, at)
		}
	}
}

// Lose forgets what was acknowledged from an offset on, after a disaster that lost it,
// and returns how many records that were, and where they ended.
func (h *History) Lose(tp TopicPartition, from int64) (records int, end int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.partition(tp)
	for at, b := range p.blocks {
		for i := range b {
			if at*blockOffsets+int64(i) >= from && b[i] != 0 {
				b[i] = 0
				records++
			}
		}
	}
	p.marks = slices.DeleteFunc(p.marks, func(m Mark) bool { return m.Offset >= from })
	end, p.end = p.end, min(p.end, from)
	return records, end
}

// Marks returns the marks of a partition, oldest first.
func (h *History) Marks(tp TopicPartition) []Mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.partition(tp).marks)
}

// End returns the offset after the highest acknowledged one.
func (h *History) End(tp TopicPartition) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.partition(tp).end
}

// Partitions lists the partitions to which something was written.
func (h *History) Partitions() []TopicPartition {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []TopicPartition
	for tp := range h.partitions {
		all = append(all, tp)
	}
	slices.SortFunc(all, func(a, b TopicPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

// Totals returns how many records and bytes were acknowledged, how many records were
// given up, and the longest time without any acknowledgement.
func (h *History) Totals() (acked, bytes, givenUp int64, longest time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.givenUp {
		givenUp += n
	}
	return h.acked, h.bytes, givenUp, h.longest
}

// given returns how many records of a series were given up.
func (h *History) given(s recordSeries) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.givenUp[s]
}

// Report adds a problem.
func (h *History) Report(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report(format, args...)
}

func (h *History) report(format string, args ...any) {
	if len(h.problems) >= maxProblems {
		h.more++
		return
	}
	h.problems = append(h.problems, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// TakeProblems returns the problems since the last call, and how many there were
// beyond those.
func (h *History) TakeProblems() (list []string, more int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list, more = h.problems, h.more
	h.problems, h.more = nil, 0
	return list, more
}
