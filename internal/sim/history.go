package sim

import (
	"fmt"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// History is what clients and brokers saw: all that the checks go by.
type History struct {
	mu sync.Mutex // guards everything while a seed runs

	Sent         []Batch                    // every batch, once, in each producer's order
	Acks         []Ack                      // in any order
	FinalLogs    map[TP]map[string]FinalLog // at the end: each partition as each broker serves it
	Reads        map[string][]Reading       // by reader and partition, in the order read
	OffsetEvents []OffsetEvent
	LeaderSends  []LeaderSend    // what movers sent, once each, in each one's order
	OrderRisks   int             // batches of which brokers say that they may have passed others
	Txns         map[string]*Txn // by name
	// TxnFetches are fetches of transactional groups' positions, in order for each.
	TxnFetches     []TxnFetch
	CommittedLogs  map[TP]map[string]CommittedLog // at the end: as each broker serves readers of committed records
	Hashes         []StateHash
	Ledger         *Ledger          // at the end; nil: it was not looked at
	Lost           []LostTail       // what recoveries say was lost
	TrimsRequested map[TP]int64     // the highest offset that DeleteRecords was asked for
	LostPartitions map[TP]time.Time // partitions that a recovery did not bring back: they were made in the lost tail
	TrimsDone      map[TP]int64     // the highest that was answered
	ReaderEnds     map[string]int64 // by reader and partition: where it stands
	Assignments    []GroupAssignment
	Ownerships     []Ownership
	Faults         []string // in order
	Violations     []string // broken promises that were seen on the way
}

// Batch is one batch of consecutive records of a producer.
type Batch struct {
	First      Record
	Count      int
	Idempotent bool
}

// Ack is a batch and the offset that was answered; Unknown where the answer
// was that it is a duplicate whose offset is not known any more.
type Ack struct {
	Batch
	Base int64
	At   time.Time
}

// LeaderSend is a record of a mover, and by which of its connections it went.
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

// Reading is records of one fetch, or a jump that the broker asked for.
type Reading struct {
	From  int64 // the offset that was asked for
	Reads []Read
	Reset bool // the position was out of range; the next reading begins at the log's start
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

// LostTail is what a recovery left out of one partition: offsets from From on
// that were given out before it; the next one given out is To.
type LostTail struct {
	TP       TP
	From, To int64
	At       time.Time // acks after this are of the recovered cluster
}

// GroupAssignment is what a member of a group was given in a generation.
type GroupAssignment struct {
	Group      string
	Generation int32
	Member     string
	Partitions []int32
	Recovered  int // recoveries before: generations may begin anew
}

// Ownership is how long a member of a group of the consumer protocol surely held a
// partition: from the answer that gave it to the beginning of the last
// heartbeat that was answered while it had it.
type Ownership struct {
	Group       string
	Partition   int32
	Member      string
	Since, Till time.Time
}

func newHistory() *History {
	return &History{FinalLogs: map[TP]map[string]FinalLog{}, Reads: map[string][]Reading{}, TrimsRequested: map[TP]int64{}, TrimsDone: map[TP]int64{}, ReaderEnds: map[string]int64{}, LostPartitions: map[TP]time.Time{}, Txns: map[string]*Txn{}, CommittedLogs: map[TP]map[string]CommittedLog{}}
}

func (h *History) update(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// reportViolation notes a broken promise.
func (h *History) reportViolation(format string, args ...any) {
	h.update(func() { h.Violations = append(h.Violations, fmt.Sprintf(format, args...)) })
}

// wasLost reports whether a recovery left out an offset that was answered at a
// time.
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

// maxRecoveryMarkers is how many markers a recovery puts on a partition at most: one at
// the end of the offsets that it passes over, and one for each transaction that
// was open.
const maxRecoveryMarkers = 9

// recoverySkippedTo is jumped for what may begin with the markers that a recovery puts
// behind the jump.
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

// mayFetchAs reports whether a committed position may be told as another one: one that
// lies in what a recovery passed over is told as the end of that.
func (h *History) mayFetchAs(tp TP, committed, fetched int64) bool {
	for _, l := range h.Lost {
		if l.TP == tp && committed >= l.From && committed < l.To && fetched <= l.To && fetched >= l.To-maxRecoveryMarkers {
			return true
		}
	}
	return committed == fetched
}

// recoverySkipped reports whether a recovery skipped from..to: from may lie inside what
// was lost, where records were deleted that far.
func (h *History) recoverySkipped(tp TP, from, to int64) bool {
	for _, l := range h.Lost {
		if l.TP == tp && from >= l.From && from <= l.To && to == l.To {
			return true
		}
	}
	return false
}
