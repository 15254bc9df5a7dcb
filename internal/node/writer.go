package node

import (
	"context"
	"sync/atomic"

	"github.com/zonewise/zonewise/broker"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// sessionWriter writes to the log by the present session. Between sessions it
// returns wal.ErrSessionLost, which is retriable.
type sessionWriter struct {
	wal       atomic.Pointer[wal.WAL]
	handover  *handover
	storeFull atomic.Bool // etcd is full: no data until archives have made room
}

func (w *sessionWriter) setWAL(present *wal.WAL) { w.wal.Store(present) }

// Append implements broker.Writer.
func (w *sessionWriter) Append(ctx context.Context, b wal.Batch) (broker.Ack, error) {
	present := w.wal.Load()
	if present == nil {
		return nil, wal.ErrSessionLost
	}
	if w.storeFull.Load() {
		return nil, wal.ErrStorage
	}
	if b.Header.Producer == metadata.NoProducer {
		defer w.handover.awaitFormerLeaders(ctx, &b)()
	}
	ack, err := present.Append(ctx, b)
	if err != nil {
		return nil, err
	}
	return ack, nil
}

// Submit implements broker.Writer, groups.Writer and metadata.Submitter.
func (w *sessionWriter) Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error) {
	present := w.wal.Load()
	if present == nil {
		return metadata.Outcome{}, wal.ErrSessionLost
	}
	return present.Submit(ctx, cmds, guard)
}
