package wal

import (
	"context"

	"github.com/zonewise/zonewise/metadata"
)

type buffer struct{}

// WAL holds what this broker's clients sent and nobody acknowledged yet.
type WAL struct{ cfg Config }

// Open starts the lanes of a session.
func Open(cfg Config) (*WAL, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &WAL{cfg: cfg}, nil
}

// Append takes a batch. It waits only for the memory budget; the order of
// calls is the order of the log per partition.
func (w *WAL) Append(ctx context.Context, b Batch) (*Ack, error) { return nil, ErrClosed }

// Submit commits commands by the control lane.
func (w *WAL) Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error) {
	return metadata.Outcome{}, ErrClosed
}

// Drain refuses new batches and waits until none is pending.
func (w *WAL) Drain(ctx context.Context) error { return nil }

// DrainPartition waits until what is pending of the partition is answered.
func (w *WAL) DrainPartition(ctx context.Context, tp metadata.TopicPartition) error { return nil }

// Close ends the WAL.
func (w *WAL) Close(ctx context.Context) error { return nil }
