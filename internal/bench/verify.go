package bench

import (
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"
)

// Faults are what consumers found wrong.
type Faults struct {
	Missing    uint64 `json:"missing"`      // numbers of a producer that were passed over
	Repeated   uint64 `json:"repeated"`     // numbers that came again
	Changed    uint64 `json:"changed"`      // checksum
	OffsetBack uint64 `json:"offsets_back"` // offsets that did not rise
	Foreign    uint64 `json:"foreign"`      // records of other producers; no fault
	First      string `json:"first,omitempty"`
}

// Bad reports whether anything is wrong.
func (f *Faults) Bad() bool { return f.Missing+f.Repeated+f.Changed+f.OffsetBack > 0 }

// verifier holds what was read against what must have been written. Consumers
// share it; of each partition one consumer reads at a time.
type verifier struct {
	table     *crc32.Table
	run       uint64 // 0: whatever run
	fromStart bool   // reading began at the partition's start: a producer's first number is 0

	mu     sync.Mutex // guards what follows
	next   map[lineage]uint64
	holes  map[lineage]uint64 // numbers passed over
	offset map[int32]int64    // next expected at least
	faults Faults
}

// lineage is one producer's records of one partition.
type lineage struct {
	run       uint64
	producer  uint32
	partition int32
}

func newVerifier(run uint64, whole bool) *verifier {
	return &verifier{table: castagnoli(), run: run, fromStart: whole, next: map[lineage]uint64{}, holes: map[lineage]uint64{}, offset: map[int32]int64{}}
}

// checkRecord takes the next record of a partition. due is when it was to be sent;
// ok is false for records that are not part of the run.
func (v *verifier) checkRecord(partition int32, offset int64, value []byte) (due time.Time, ok bool) {
	var s recordStamp
	err := s.decode(value, v.table)
	v.mu.Lock()
	defer v.mu.Unlock()
	if next := v.offset[partition]; offset < next {
		v.addFault(&v.faults.OffsetBack, "partition %d: offset %d after %d", partition, offset, next-1)
	}
	v.offset[partition] = max(v.offset[partition], offset+1)
	switch {
	case errors.Is(err, errForeign):
		v.faults.Foreign++
		return due, false
	case err != nil:
		v.addFault(&v.faults.Changed, "partition %d, offset %d: %v", partition, offset, err)
		return due, false
	case v.run != 0 && s.run != v.run:
		v.faults.Foreign++
		return due, false
	}
	l := lineage{s.run, s.producer, partition}
	next, known := v.next[l]
	switch {
	case !known && !v.fromStart, s.number == next:
		v.next[l] = s.number + 1
	case s.number > next:
		v.holes[l] += s.number - next
		v.noteFirst("partition %d, offset %d: producer %d's number %d after %d", partition, offset, s.producer, s.number, int64(next)-1)
		v.next[l] = s.number + 1
	default:
		v.addFault(&v.faults.Repeated, "partition %d, offset %d: producer %d's number %d again", partition, offset, s.producer, s.number)
	}
	return s.due, true
}

func (v *verifier) addFault(counter *uint64, format string, args ...any) {
	*counter++
	v.noteFirst(format, args...)
}

func (v *verifier) noteFirst(format string, args ...any) {
	if v.faults.First == "" {
		v.faults.First = fmt.Sprintf(format, args...)
	}
}

// finalFaults reports what never came: acked is how many numbers of each
// lineage were acknowledged before the first that failed, failed how many
// failed: those may exist or not, and are no fault.
func (v *verifier) finalFaults(acked, failed map[lineage]uint64) Faults {
	v.mu.Lock()
	defer v.mu.Unlock()
	for l, n := range v.holes {
		v.faults.Missing += n - min(n, failed[l])
	}
	for l, n := range acked {
		if have := v.next[l]; have < n {
			v.faults.Missing += n - have
			v.noteFirst("partition %d: producer %d's numbers %d to %d were acknowledged and never read", l.partition, l.producer, have, n-1)
		}
	}
	if !v.faults.Bad() {
		v.faults.First = ""
	}
	return v.faults
}

// caughtUp reports whether everything acknowledged was read.
func (v *verifier) caughtUp(acked map[lineage]uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for l, n := range acked {
		if v.next[l] < n {
			return false
		}
	}
	return true
}
