package sim

import (
	"fmt"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// History is what clients and brokers saw: the only input of the checks.
type History struct {
	mu sync.Mutex // guards everything while a seed runs

	Sent         []Batch                    // every batch, once, in each producer's order
	Acks         []Ack                      // in any order
	FinalLogs    map[TP]map[string]FinalLog // at the end: each partition as each broker serves it
	Reads        map[string][]Reading       // by reader and partition, in the order read
	OffsetEvents []OffsetEvent
	LeaderSends  []LeaderSend    // what leader producers sent, once each, in each one's order
	OrderRisks   int             // batches that brokers counted as possibly reordered
	Txns         map[string]*Txn // by name
	// TxnFetches are fetches of transactional groups' offsets, in order for each group.
	TxnFetches     []TxnFetch
	CommittedLogs  map[TP]map[string]CommittedLog // at the end: as each broker serves read_committed readers
	Hashes         []StateHash
	Ledger         *Ledger          // at the end; nil: not recorded
	Lost           []LostTail       // what recoveries reported as lost
	TrimsRequested map[TP]int64     // the highest offset that DeleteRecords requested
	LostPartitions map[TP]time.Time // partitions that a recovery did not restore: they were created in the lost tail
	TrimsDone      map[TP]int64     // the highest that was acknowledged
	ReaderEnds     map[string]int64 // by reader and partition: its position
	Assignments    []GroupAssignment
	Ownerships     []Ownership
	StoredBatches  map[TP]map[int64]StoredBatch // of expiring topics, by their first offset
	LogStarts      map[TP][]LogStart            // of expiring topics, as brokers' states had them
	Faults         []string                     // in order
	Violations     []string                     // broken promises that were seen during the run
}

// Batch is one batch of consecutive records of a producer.
type Batch struct {
	First      Record
	Count      int
	Idempotent bool
}

// Ack is a batch and its acknowledged offset; Unknown if the response was that it is a
// duplicate whose offset is no longer known.
type Ack struct {
	Batch
	Base int64
	At   time.Time
}

// LeaderSend is a record of a leader producer, and the connection on which it was sent.
type LeaderSend struct {
	Record     Record
	Connection int
}

// Unknown is the offset of an ack without one.
const Unknown int64 = -1

// FinalLog is one partition as a broker serves it at the end.
type FinalLog struct {
	Start, End int64
	Reads      []Read
}

// Reading is records of one fetch, or a jump that the broker required.
type Reading struct {
	From  int64 // the requested offset
	Reads []Read
	Reset bool  // the position was out of range; the next reading begins at the log's start
	To    int64 // which was here
}

// OffsetEvent is a commit of a group's offset, or a fetch of it.
type OffsetEvent struct {
	Group      string
	TP         TP
	Offset     int64
	Fetch      bool // a fetch; else a commit
	OK         bool // answered without error
	Begun, End time.Time
}

// StateHash is one broker's state at a revision.
type StateHash struct {
	Broker   string
	Revision metadata.Revision
	Hash     uint64
}

// LostTail is what a recovery lost of one partition: the offsets from From on that
// were assigned before it; the next one assigned is To.
type LostTail struct {
	TP       TP
	From, To int64
	At       time.Time // acks after this are of the recovered cluster
}

// GroupAssignment is a member's assignment in a generation of its group.
type GroupAssignment struct {
	Group      string
	Generation int32
	Member     string
	Partitions []int32
	Recovered  int // recoveries before: generations may start over
}

// Ownership is the time for which a member of a group of the consumer protocol
// certainly owned a partition: from the response that assigned it to the start of
// the last heartbeat that was answered while it owned it.
type Ownership struct {
	Group       string
	Partition   int32
	Member      string
	Since, Till time.Time
}

func newHistory() *History {
	return &History{FinalLogs: map[TP]map[string]FinalLog{}, Reads: map[string][]Reading{}, TrimsRequested: map[TP]int64{}, TrimsDone: map[TP]int64{}, ReaderEnds: map[string]int64{}, LostPartitions: map[TP]time.Time{}, Txns: map[string]*Txn{}, CommittedLogs: map[TP]map[string]CommittedLog{},
		StoredBatches: map[TP]map[int64]StoredBatch{}, LogStarts: map[TP][]LogStart{}}
}

func (h *History) update(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// reportViolation records a broken promise.
func (h *History) reportViolation(format string, args ...any) {
	h.update(func() { h.Violations = append(h.Violations, fmt.Sprintf(format, args...)) })
}

// wasLost reports whether a recovery lost an offset that was acknowledged at the
// given time.
func (h *History) wasLost(tp TP, offset int64, at time.Time) bool {
	if at.Before(h.LostPartitions[tp]) {
		return true
	}
	for _, l := range h.Lost {
		if l.TP == tp && offset >= l.From && offset < l.To && at.Before(l.At) {
			return true
		}
	}
	return false
}

// maxRecoveryMarkers bounds the markers that a recovery puts on a partition: one at
// the end of the gap, and one for each transaction that was open.
const maxRecoveryMarkers = 9

// recoverySkippedTo is recoverySkipped for a read that may begin with the markers
// that a recovery puts after the gap.
func (h *History) recoverySkippedTo(tp TP, from int64, r Read) bool {
	if r.Mark.Kind.isControl() {
		for _, l := range h.Lost {
			if l.TP == tp && from >= l.From && from <= l.To && r.Offset < l.To && r.Offset >= l.To-maxRecoveryMarkers {
				return true
			}
		}
	}
	return h.recoverySkipped(tp, from, r.Offset)
}

// mayFetchAs reports whether a committed offset may be returned as another one: an
// offset in a recovery's gap is returned as the end of the gap.
func (h *History) mayFetchAs(tp TP, committed, fetched int64) bool {
	for _, l := range h.Lost {
		if l.TP == tp && committed >= l.From && committed < l.To && fetched <= l.To && fetched >= l.To-maxRecoveryMarkers {
			return true
		}
	}
	return committed == fetched
}

// recoverySkipped reports whether a recovery skipped from..to: from may be inside the
// lost tail if records were deleted up to there.
func (h *History) recoverySkipped(tp TP, from, to int64) bool {
	for _, l := range h.Lost {
		if l.TP == tp && from >= l.From && from <= l.To && to == l.To {
			return true
		}
	}
	return false
}
