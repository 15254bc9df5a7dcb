package sim

import "time"

// Txn is one transaction of one client, as the client saw it. The records of a
// transaction have its name as their producer: no two share one.
type Txn struct {
	Name             string // "<transactional id>.<n>"
	ID               string // transactional id
	N                int    // rises with each transaction of an id
	Started          time.Time
	RecoveriesBefore int        // recoveries before
	Sent             map[TP]int // records so far
	Acks             []Ack
	Offset           int64 // of its group, that it commits; 0: none

	CommitSent time.Time // zero: never asked to commit
	Committed  bool      // the commit was answered
	Ended      time.Time // when an answer came
	// Dead: whatever it asked for, it cannot have been committed: a commit was
	// refused, or asked for only after its producer was fenced.
	Dead bool
	// UncertainBatch: a batch of it, which was aborted, may have come to its broker only
	// when the next transaction was under way, and belong to that.
	UncertainBatch bool
}

// barrierTopic are the partitions that late batches of apps are followed by.
const barrierTopic = "knock"

// TxnFetch is a fetch of a transactional client's group offset; -1: none.
type TxnFetch struct {
	ID         string
	Offset     int64
	Begun, End time.Time
}

// CommittedLog is a partition at the end, as a reader of committed records sees it.
type CommittedLog struct {
	LastStableOffset, HighWatermark int64 // last stable offset, high watermark
	Reads                           []Read
}

// isTransactional reports whether only transactions write to a partition.
func (tp TP) isTransactional() bool { return tp.Topic == "pay" || tp.Topic == "ship" }

// groupID is the one whose offsets a transactional id commits.
func (t *Txn) groupID() string { return "of-" + t.ID }

// sourcePartition is the partition whose position that group commits.
var sourcePartition = TP{"bulk", 1}

// mayBeVisible reports whether a commit was asked for.
func (h *History) mayBeVisible(name string) (known, may bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.Txns[name]
	return t != nil, t != nil && (!t.CommitSent.IsZero() && !t.Dead || t.UncertainBatch)
}
