package wal

import "github.com/zonewise/zonewise/metadata"

// Replica is the part of metadata.Replica that the WAL needs.
type Replica interface {
	View(f func(*metadata.State))
	Expect(key metadata.EntryKey) *metadata.Waiter
}
