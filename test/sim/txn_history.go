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
	Offset           int64 // that it commits for its group; 0: none

	CommitSent time.Time // zero: commit never requested
	Committed  bool      // the commit was answered
	Ended      time.Time // when the response arrived
	// Dead: it cannot have been committed: a commit was refused, or was requested only
	// after its producer was fenced.
	Dead bool
	// UncertainBatch: a batch of this aborted transaction may have reached its broker
	// only during the next transaction, and belong to that one.
	UncertainBatch bool
}

// barrierTopic has the partitions of the batches that are sent after late batches.
const barrierTopic = "knock"

// TxnFetch is a fetch of a transactional client's group offset; -1: none.
type TxnFetch struct {
	ID         string
	Offset     int64
	Begun, End time.Time
}

// CommittedLog is a partition at the end, as a read_committed reader sees it.
type CommittedLog struct {
	LastStableOffset, HighWatermark int64 // last stable offset, high watermark
	Reads                           []Read
}

// isTransactional reports whether only transactions write to a partition.
func (tp TP) isTransactional() bool { return tp.Topic == "pay" || tp.Topic == "ship" }

// groupID is the group whose offsets the transactional id commits.
func (t *Txn) groupID() string { return "of-" + t.ID }

// sourcePartition is the partition whose offset that group commits.
var sourcePartition = TP{"bulk", 1}

// mayBeVisible reports whether a commit was requested.
func (h *History) mayBeVisible(name string) (known, may bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.Txns[name]
	return t != nil, t != nil && (!t.CommitSent.IsZero() && !t.Dead || t.UncertainBatch)
}
