package wal

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// ConnectionActivity stands for one connection that batches come by. A client that may have
// so many requests unanswered sends nothing more when it has: its connection is
// window-blocked, and the buffer that holds its batches need not wait for more
// of it. While it is not, and has just been answered, the rest of its window is
// on its way. The zero value is ready; it is not copied.
type ConnectionActivity struct {
	lastRead atomic.Int64 // unix nanoseconds
	taking   atomic.Bool  // further batches of its last request are to come
	grown    atomic.Bool  // its batches grow no more while it waits

	mu       sync.Mutex              // guards what follows
	requests int                     // unanswered
	window   int                     // at which it stalls; 0: unknown
	stalls   int                     // how often it did, less how often at fewer
	answered int64                   // unix nanoseconds, of the last answer
	gathered [metadata.LaneCount]int // requests in the buffer in seen
	sizes    batchSizes

	// seen is the buffer of each lane that has listed this feed. Lanes of an
	// ending WAL and of its successor may both set it.
	seen [metadata.LaneCount]atomic.Pointer[buffer]
}

const (
	// stallTime is how long a client that may send more does not take to do so.
	stallTime = time.Millisecond
	// stallsEnough is how often a client must stall at one number of requests
	// before that is taken to be its window.
	stallsEnough = 3
	// refillTime is how long after an answer, or after what came last, the rest
	// of a window is expected.
	refillTime = 3 * time.Millisecond
	// gatherTime is the longest that an inline buffer waits for the rest of its
	// clients' windows while a commit could be sent.
	gatherTime = 5 * time.Millisecond
)

// NewConnectionActivity returns the feed of a new connection.
func (w *WAL) NewConnectionActivity() *ConnectionActivity {
	f := &ConnectionActivity{}
	f.Read(0)
	return f
}

// Read tells that n further bytes came by the connection. It costs one
// atomic store; the connection calls it after each read of its socket.
func (f *ConnectionActivity) Read(int) { f.lastRead.Store(time.Now().UnixNano()) }

// begin tells that a batch of a request has come, and whether more are to come.
func (f *ConnectionActivity) begin(bytes int, more bool) {
	f.taking.Store(more)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sizes.note(bytes)
	f.grown.Store(f.sizes.full())
	if more {
		return
	}
	f.requests++
	if f.requests > f.window {
		f.window, f.stalls = f.requests, 0
	}
}

// gather notes that a batch went into a lane's open buffer, and whether it is
// the first one there.
func (f *ConnectionActivity) gather(lane metadata.Lane, first, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if first {
		f.gathered[lane] = 0
	}
	if !more {
		f.gathered[lane]++
	}
}

// answer tells that the last batch of a request is answered. The first answer
// to a client that has sent nothing for a while shows at how many requests it
// stalls.
func (f *ConnectionActivity) answer(now time.Time) {
	at, read := now.UnixNano(), f.lastRead.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if read > f.answered && at-read >= int64(stallTime) {
		f.stall()
	}
	f.requests--
	f.answered = at
}

// closed is lastRead of a connection that is gone.
const closed = 1<<63 - 1

// stall learns from the client's having stalled. Now and then it is held up
// with less than its window.
func (f *ConnectionActivity) stall() {
	switch {
	case f.requests == f.window:
		f.stalls = min(f.stalls+1, 2*stallsEnough)
	case f.stalls > 1:
		f.stalls--
	default:
		f.window, f.stalls = f.requests, 1
	}
}

// Close tells that the connection is gone: nobody waits behind its window.
func (f *ConnectionActivity) Close() { f.lastRead.Store(closed) }

// idle is how long the connection has sent nothing.
func (f *ConnectionActivity) idle(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - f.lastRead.Load())
}

// full reports whether the client is known to send nothing more before it is
// answered; whole, whether all that it waits for is in this lane's open buffer.
func (f *ConnectionActivity) full(lane metadata.Lane) (full, whole bool) {
	if f.taking.Load() || f.lastRead.Load() == closed {
		return false, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stalls >= stallsEnough && f.requests >= f.window, f.gathered[lane] == f.requests
}

// sendsFullBatches reports whether the client's batches grow no more while it
// waits; false of a nil feed.
func (f *ConnectionActivity) sendsFullBatches() bool { return f != nil && f.grown.Load() }

// refills is how long the client's connection must be silent from now on before
// what a lane's open buffer lacks of its window is not expected any more; 0
// where it lacks nothing. What is in flight elsewhere is answered soon, and
// comes back here.
func (f *ConnectionActivity) refills(lane metadata.Lane, now time.Time) time.Duration {
	last, taking := f.lastRead.Load(), f.taking.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if last == closed || !taking && (f.stalls < stallsEnough || f.gathered[lane] >= f.window) {
		return 0
	}
	return max(0, refillTime-time.Duration(now.UnixNano()-max(last, f.answered)))
}
