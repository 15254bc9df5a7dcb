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

	Sent    []Batch                // every batch, once, in each producer's order
	Acks    []Ack                  // in any order
	Log     map[TP]map[string]Tail // at the end: each partition as each broker serves it
	Reads   map[string][]Reading   // by reader and partition, in the order read
	Commits []OffsetEvent
	Moved   []Moved         // what movers sent, once each, in each one's order
	Risked  int             // batches of which brokers say that they may have passed others
	Txns    map[string]*Txn // by name
	// TxnFetches are fetches of transactional groups' positions, in order for each.
	TxnFetches []TxnFetch
	Stable     map[TP]map[string]Stable // at the end: as each broker serves readers of committed records
	Hashes     []StateHash
	Ledger     *Ledger          // at the end; nil: it was not looked at
	Lost       []LostTail       // what recoveries say was lost
	Trims      map[TP]int64     // the highest offset that DeleteRecords was asked for
	Gone       map[TP]time.Time // partitions that a recovery did not bring back: they were made in the lost tail
	Trimmed    map[TP]int64     // the highest that was answered
	Ends       map[string]int64 // by reader and partition: where it stands
	Owned      []Owned
	Held       []Held
	Faults     []string // in order
	Wrong      []string // broken promises that were seen on the way
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

// Moved is a record of a mover, and by which of its connections it went.
type Moved struct {
	Record     Record
	Connection int
}

// Unknown is the offset of an ack without one.
const Unknown int64 = -1

// Tail is one partition as a broker serves it at the end.
type Tail struct {
	Start, End int64
	Reads      []Read
}

// Reading is records of one fetch, or a jump that the broker asked for.
type Reading struct {
	From  int64 // the offset that was asked for
	Reads []Read
	Jump  bool // the position was out of range; the next reading begins at the log's start
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

// Owned is what a member of a group was given in a generation.
type Owned struct {
	Group      string
	Generation int32
	Member     string
	Partitions []int32
	Recovered  int // recoveries before: generations may begin anew
}

// Held is how long a member of a group of the consumer protocol surely held a
// partition: from the answer that gave it to the beginning of the last
// heartbeat that was answered while it had it.
type Held struct {
	Group       string
	Partition   int32
	Member      string
	Since, Till time.Time
}

func newHistory() *History {
	return &History{Log: map[TP]map[string]Tail{}, Reads: map[string][]Reading{}, Trims: map[TP]int64{}, Trimmed: map[TP]int64{}, Ends: map[string]int64{}, Gone: map[TP]time.Time{}, Txns: map[string]*Txn{}, Stable: map[TP]map[string]Stable{}}
}

func (h *History) note(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// wrong notes a broken promise.
func (h *History) wrong(format string, args ...any) {
	h.note(func() { h.Wrong = append(h.Wrong, fmt.Sprintf(format, args...)) })
}

// lost reports whether a recovery left out an offset that was answered at a
// time.
func (h *History) lost(tp TP, offset int64, at time.Time) bool {
	if at.Before(h.Gone[tp]) {
		return true
	}
	for _, l := range h.Lost {
		if l.TP == tp && offset >= l.From && offset < l.To && at.Before(l.At) {
			return true
		}
	}
	return false
}

// markersAfter is how many markers a recovery puts on a partition at most: one at
// the end of the offsets that it passes over, and one for each transaction that
// was open.
const markersAfter = 9

// jumpedTo is jumped for what may begin with the markers that a recovery puts
// behind the jump.
func (h *History) jumpedTo(tp TP, from int64, r Read) bool {
	if r.Mark.Kind.control() {
		for _, l := range h.Lost {
			if l.TP == tp && from >= l.From && from <= l.To && r.Offset < l.To && r.Offset >= l.To-markersAfter {
				return true
			}
		}
	}
	return h.jumped(tp, from, r.Offset)
}

// told reports whether a committed position may be told as another one: one that
// lies in what a recovery passed over is told as the end of that.
func (h *History) told(tp TP, committed, fetched int64) bool {
	for _, l := range h.Lost {
		if l.TP == tp && committed >= l.From && committed < l.To && fetched <= l.To && fetched >= l.To-markersAfter {
			return true
		}
	}
	return committed == fetched
}

// jumped reports whether a recovery skipped from..to: from may lie inside what
// was lost, where records were deleted that far.
func (h *History) jumped(tp TP, from, to int64) bool {
	for _, l := range h.Lost {
		if l.TP == tp && from >= l.From && from <= l.To && to == l.To {
			return true
		}
	}
	return false
}
