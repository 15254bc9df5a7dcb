package wal

import (
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Feed stands for one connection that batches come by. A connection whose
// batches are unanswered and that sends nothing more is taken to be waiting
// for its window, and the buffer that holds its batches is sealed early. The
// zero value is ready; it is not copied.
type Feed struct {
	lastRead atomic.Int64 // unix nanoseconds

	// seen is the buffer of each lane that has listed this feed. Lanes of an
	// ending WAL and of its successor may both set it.
	seen [metadata.LaneCount]atomic.Pointer[buffer]
}

// NewFeed returns the feed of a new connection.
func (w *WAL) NewFeed() *Feed {
	f := &Feed{}
	f.Read(0)
	return f
}

// Read tells that n further bytes came by the connection. It costs one
// atomic store; the connection calls it after each read of its socket.
func (f *Feed) Read(int) { f.lastRead.Store(time.Now().UnixNano()) }

// Close tells that the connection is gone: nobody waits behind its window.
func (f *Feed) Close() { f.lastRead.Store(1<<63 - 1) }

// idle is how long the connection has sent nothing.
func (f *Feed) idle(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - f.lastRead.Load())
}
