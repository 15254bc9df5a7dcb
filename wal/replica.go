package wal

import (
	"context"

	"github.com/zonewise/zonewise/metadata"
)

// Replica is the part of metadata.Replica that the WAL needs.
type Replica interface {
	View(f func(*metadata.State))
	Expect(key metadata.EntryKey) *metadata.Waiter
	// Barrier returns once everything acknowledged anywhere before the call is
	// in the state.
	Barrier(ctx context.Context) error
}
