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

// level is the feature level of what is written now: the applied state's. It only
// rises, so an entry's level is never above that of the state which applies it.
func (w *WAL) level() (l metadata.FeatureLevel) {
	w.cfg.Replica.View(func(s *metadata.State) { l = s.Level() })
	return l
}
