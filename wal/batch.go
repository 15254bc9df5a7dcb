package wal

import (
	"errors"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Errors of Append, Submit and Ack.Result in addition to metadata.Code, which
// is final. All are retriable for the client.
var (
	// ErrSessionLost: the broker's session is gone. The batch or submission
	// did not commit and never will. The WAL accepts nothing more.
	ErrSessionLost = fmt.Errorf("wal: %w", metadata.ErrSessionLost)
	// ErrStorage: the bytes could not be stored, or those of an earlier
	// batch of the same partition could not. Nothing of the batch was
	// committed.
	ErrStorage = errors.New("wal: storage failed")
	// ErrOutcomeUnknown: it may have been committed, or not. Only the client
	// may send it again (an idempotent producer's retry lands once).
	ErrOutcomeUnknown = errors.New("wal: outcome unknown")
	// ErrNotSent: the caller's context ended before the submission was
	// sent. Nothing of it was or will be committed.
	ErrNotSent = errors.New("wal: not sent")
	// ErrUnresolvedGap: an earlier sequence is missing here, and this broker
	// cannot determine whether it was applied through another broker; or
	// the batch that has it was refused and is expected again. Nothing of
	// the batch was submitted.
	ErrUnresolvedGap = errors.New("wal: sequence gap not resolved yet")
	// ErrDraining: the broker shuts down; another one accepts the batch.
	ErrDraining = errors.New("wal: draining")
	// ErrClosed: the WAL was closed before it accepted or sent the batch.
	ErrClosed = errors.New("wal: closed")
)

// Batch is one record batch of one partition, checked by the caller.
type Batch struct {
	Partition metadata.TopicPartition
	Lane      metadata.Lane // LaneLow or LaneStandard, by the topic's zonewise.latency
	Bytes     []byte        // one whole record batch; the WAL owns it from here on
	Header    metadata.BatchHeader
	Principal string
	Zone      metadata.ZoneID // of the client, as far as it is known: whose hints it follows
	// TxnStart is the revision at which the transaction began in which a batch
	// of the older protocol (V1) was received; 0 otherwise.
	TxnStart metadata.Revision
	// Activity is that of the connection by which the batch came; nil where
	// there is none.
	Activity *ConnectionActivity
	// More says that further batches of the request that brought it follow.
	More bool
	// Outcome receives the outcome of the batch; Predecessor is the outcome of
	// the batch of the same producer and partition that its connection
	// brought before. Either may be nil.
	Outcome, Predecessor *AppendOutcome
}

// validate refuses what would make an entry invalid, and with it the batches of
// all others in that entry.
func (b *Batch) validate() error {
	h, err := metadata.ParseBatchHeader(b.Bytes)
	switch {
	case err != nil:
		return err
	case h != b.Header || h.Size != len(b.Bytes):
		return fmt.Errorf("%d bytes with another header than %+v", len(b.Bytes), b.Header)
	case h.LastOffsetDelta < 0 || h.Offsets() > metadata.MaxRunRecords:
		return fmt.Errorf("last offset delta %d", h.LastOffsetDelta)
	case h.Producer < metadata.NoProducer || h.Producer >= 0 && (h.Epoch < 0 || h.BaseSequence < 0):
		return fmt.Errorf("producer %d, epoch %d, sequence %d", h.Producer, h.Epoch, h.BaseSequence)
	case b.Partition.Partition < 0 || b.Partition.Partition >= metadata.MaxPartitionsPerTopic:
		return fmt.Errorf("partition %d", b.Partition.Partition)
	case len(b.Bytes) > metadata.MaxObjectBytes/2:
		return fmt.Errorf("%d bytes, at most %d", len(b.Bytes), metadata.MaxObjectBytes/2)
	case b.TxnStart < 0 || h.MaxTimestamp < -1:
		return fmt.Errorf("start %d, max timestamp %d", b.TxnStart, h.MaxTimestamp)
	}
	return nil
}

// Ack is the pending answer to one batch.
type Ack struct {
	done   chan struct{}
	offset metadata.Offset
	err    error
}

// Done is closed when the result is known.
func (a *Ack) Done() <-chan struct{} { return a.done }

// Result waits for Done and returns the offset of the batch's first record,
// or a metadata.Code (final), or one of this package's errors (retriable).
func (a *Ack) Result() (metadata.Offset, error) {
	<-a.done
	return a.offset, a.err
}

// pendingBatch is a batch that is not answered yet. Its partition's lane owns
// it. The fields of Batch do not change, except Bytes, which move into the
// object's body once that is encoded.
type pendingBatch struct {
	Batch
	ack           Ack
	arrivalNumber uint64          // its number among the partition's batches here
	chargedBytes  int64           // to the memory budget
	arrived       time.Time       // Append was called
	queue         *producerQueue  // of its producer and partition; nil without producer id
	retries       []*pendingBatch // retries of the same batch, answered with it

	answered       bool
	inEntry        bool      // in an entry under way
	queued         bool      // listed in its producerQueue
	awaitsResubmit bool      // listed, but in no buffer: waits for a batch that was refused before it
	resubmitted    bool      // was refused once; from then on it is a run of its own
	gapDeadline    time.Time // while it waits for a missing sequence
	barrierStarted bool      // waited long enough: a barrier decides whether it is missing
	barrierPassed  bool      // the barrier succeeded after that
	barrierErr     error     // why the barrier failed
}

func newPendingBatch(b Batch) *pendingBatch {
	return &pendingBatch{Batch: b, ack: Ack{done: make(chan struct{})}, chargedBytes: int64(len(b.Bytes)) + BatchOverheadBytes, arrived: time.Now()}
}

func (it *pendingBatch) sequenceEnd() metadata.Sequence {
	return it.Header.BaseSequence.Add(it.Header.Offsets())
}

// sameBatch reports whether o is a retry of the same batch.
func (it *pendingBatch) sameBatch(o *pendingBatch) bool {
	return it.Header.Epoch == o.Header.Epoch && it.Header.BaseSequence == o.Header.BaseSequence &&
		it.Header.LastOffsetDelta == o.Header.LastOffsetDelta
}

// continuesRun reports whether the batch may follow prev in one run.
func (it *pendingBatch) continuesRun(prev *pendingBatch) bool {
	if it.resubmitted || prev.resubmitted || it.Principal != prev.Principal || it.TxnStart != prev.TxnStart ||
		it.Header.Transactional() != prev.Header.Transactional() {
		return false
	}
	if it.Header.Producer == metadata.NoProducer {
		return true
	}
	return it.Header.Epoch == prev.Header.Epoch && it.Header.BaseSequence == prev.sequenceEnd()
}
