package wal

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// ConnectionActivity is what the WAL observes of one connection. A client with
// a limited number of unanswered requests sends nothing more when it has
// reached it: its connection is window-blocked, and the buffer that holds its
// batches need not wait for more of it. While it is below the limit and was
// just answered, the rest of its window is expected. The zero value is ready to
// use; it must not be copied.
type ConnectionActivity struct {
	lastRead          atomic.Int64 // unix nanoseconds
	requestIncomplete atomic.Bool  // further batches of its last request follow
	fullBatches       atomic.Bool  // its batches do not grow while it waits

	mu         sync.Mutex              // guards what follows
	unanswered int                     // requests
	window     int                     // requests at which it stalls; 0: unknown
	stalls     int                     // how often it stalled at window, less how often at fewer
	lastAnswer int64                   // unix nanoseconds, of the last answer
	buffered   [metadata.LaneCount]int // requests in the buffer in listedIn
	sizes      batchSizes

	// listedIn is the buffer of each lane that has listed this connection.
	// Lanes of an ending WAL and of its successor may both set it.
	listedIn [metadata.LaneCount]atomic.Pointer[buffer]
}

const (
	// minStallTime is longer than a client that may send more takes to do
	// so.
	minStallTime = time.Millisecond
	// minStalls is how often a client must stall at one number of requests
	// before that number is considered its window.
	minStalls = 3
	// refillTime is how long after an answer, or after the last request,
	// the rest of a window is expected.
	refillTime = 3 * time.Millisecond
	// maxGatherTime is how long an inline buffer waits at most for the rest
	// of its clients' windows while a commit could be sent.
	maxGatherTime = 5 * time.Millisecond
)

// Read records that n further bytes came by the connection. It costs one atomic
// store; the connection calls it after each read of its socket.
func (f *ConnectionActivity) Read(int) { f.lastRead.Store(time.Now().UnixNano()) }

// noteArrived records that a batch of a request has come, and whether more of
// it follow.
func (f *ConnectionActivity) noteArrived(bytes int, more bool) {
	f.requestIncomplete.Store(more)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sizes.addSize(bytes)
	f.fullBatches.Store(f.sizes.areFull())
	if more {
		return
	}
	f.unanswered++
	if f.unanswered > f.window {
		f.window, f.stalls = f.unanswered, 0
	}
}

// noteBuffered records that a batch went into a lane's open buffer, and returns
// whether it is the connection's first one there.
func (f *ConnectionActivity) noteBuffered(lane metadata.Lane, first, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if first {
		f.buffered[lane] = 0
	}
	if !more {
		f.buffered[lane]++
	}
}

// noteAnswered records that the last batch of a request is answered. The first
// answer to a client that has sent nothing for some time shows at how many
// requests it stalls.
func (f *ConnectionActivity) noteAnswered(now time.Time) {
	at, read := now.UnixNano(), f.lastRead.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if read > f.lastAnswer && at-read >= int64(minStallTime) {
		f.learnWindow()
	}
	f.unanswered--
	f.lastAnswer = at
}

// connectionClosed is lastRead of a connection that is gone.
const connectionClosed = 1<<63 - 1

// learnWindow updates the window after a stall. Sometimes a client is held up
// below its window.
func (f *ConnectionActivity) learnWindow() {
	switch {
	case f.unanswered == f.window:
		f.stalls = min(f.stalls+1, 2*minStalls)
	case f.stalls > 1:
		f.stalls--
	default:
		f.window, f.stalls = f.unanswered, 1
	}
}

// Close records that the connection is gone: no buffer waits for its window.
func (f *ConnectionActivity) Close() { f.lastRead.Store(connectionClosed) }

// idleTime is how long the connection has sent nothing.
func (f *ConnectionActivity) idleTime(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - f.lastRead.Load())
}

// isWindowFull reports whether the client is known to send nothing more before
// it is answered, and, as whole, whether all that it waits for is in this
// lane's open buffer.
func (f *ConnectionActivity) isWindowFull(lane metadata.Lane) (full, whole bool) {
	if f.requestIncomplete.Load() || f.lastRead.Load() == connectionClosed {
		return false, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stalls >= minStalls && f.unanswered >= f.window, f.buffered[lane] == f.unanswered
}

// sendsFullBatches reports whether the client's batches do not grow while it
// waits; false for nil.
func (f *ConnectionActivity) sendsFullBatches() bool { return f != nil && f.fullBatches.Load() }

// refillWait is how long the client's connection must stay silent from now on
// until what a lane's open buffer lacks of its window is no longer expected; 0
// where it lacks nothing. What is in flight in another lane is answered soon,
// and the client then sends again.
func (f *ConnectionActivity) refillWait(lane metadata.Lane, now time.Time) time.Duration {
	last, taking := f.lastRead.Load(), f.requestIncomplete.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if last == connectionClosed || !taking && (f.stalls < minStalls || f.buffered[lane] >= f.window) {
		return 0
	}
	return max(0, refillTime-time.Duration(now.UnixNano()-max(last, f.lastAnswer)))
}
