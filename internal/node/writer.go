package node

import (
	"context"
	"sync/atomic"

	"github.com/zonewise/zonewise/broker"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// writer is the way into the log of the present session. Between sessions it
// answers wal.ErrSessionLost, which is retriable.
type writer struct {
	wal   atomic.Pointer[wal.WAL]
	moves *handover
	full  atomic.Bool // the log's store is: no data until archives have made room
}

func (w *writer) use(present *wal.WAL) { w.wal.Store(present) }

// Append implements broker.Writer.
func (w *writer) Append(ctx context.Context, b wal.Batch) (broker.Ack, error) {
	present := w.wal.Load()
	if present == nil {
		return nil, wal.ErrSessionLost
	}
	if w.full.Load() {
		return nil, wal.ErrStorage
	}
	if b.Header.Producer == metadata.NoProducer {
		defer w.moves.begin(ctx, &b)()
	}
	ack, err := present.Append(ctx, b)
	if err != nil {
		return nil, err
	}
	return ack, nil
}

// Submit implements broker.Writer, groups.Writer and metadata.Submitter.
func (w *writer) Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error) {
	present := w.wal.Load()
	if present == nil {
		return metadata.Outcome{}, wal.ErrSessionLost
	}
	return present.Submit(ctx, cmds, guard)
}
