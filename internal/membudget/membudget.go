// Package membudget bounds memory that many goroutines share: a counting
// semaphore of bytes whose waiters are served in order of arrival, so that
// small requests never starve a large one.
//
// broker and wal use it. They differ only in what they do with a request that
// is larger than the whole budget: broker reduces it to Limit before it
// acquires, wal lets it in alone.
package membudget

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrStopped is what Acquire returns when its stop channel was closed.
var ErrStopped = errors.New("memory budget: stopped")

// Budget is an amount of bytes. It is safe for concurrent use.
type Budget struct {
	limit  int64
	onWait func()

	mu      sync.Mutex // guards what follows
	used    int64      // above limit after Charge, or with one oversized request
	waiters []*waiter  // in order of arrival
}

type waiter struct {
	bytes   int64
	since   time.Time
	granted chan struct{}
}

// New returns a budget of limit bytes. onWait, if not nil, is called whenever a
// request has to wait, without the budget's lock.
func New(limit int64, onWait func()) *Budget { return &Budget{limit: limit, onWait: onWait} }

// Limit is the size of the whole budget in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// TryAcquire takes n bytes if they are free and nothing waits; it never exceeds
// the limit.
func (b *Budget) TryAcquire(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) > 0 || b.used+n > b.limit {
		return false
	}
	b.used += n
	return true
}

// Acquire takes n bytes. It waits until they are free, ctx ends (its error), or
// stop is closed (ErrStopped; nil never is). A request larger than the limit is
// granted when nothing else is in use.
func (b *Budget) Acquire(ctx context.Context, n int64, stop <-chan struct{}) error {
	b.mu.Lock()
	if len(b.waiters) == 0 && b.fits(n) {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	w := &waiter{n, time.Now(), make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()
	if b.onWait != nil {
		b.onWait()
	}
	var err error
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-stop:
		err = ErrStopped
	}
	b.cancelWait(w)
	return err
}

func (b *Budget) fits(n int64) bool { return b.used == 0 || b.used+n <= b.limit }

// cancelWait removes a waiter from the queue. If it was granted meanwhile, its
// bytes are released. Either way the waiters after it may fit now.
func (b *Budget) cancelWait(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiters, w); i >= 0 {
		b.waiters = slices.Delete(b.waiters, i, i+1)
	} else {
		b.used -= w.bytes
	}
	b.grantWaiting()
}

// Charge takes n bytes without waiting, for what is in memory already. It may
// exceed the limit.
func (b *Budget) Charge(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
}

// Release gives n bytes back.
func (b *Budget) Release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grantWaiting()
}

func (b *Budget) grantWaiting() {
	for len(b.waiters) > 0 && b.fits(b.waiters[0].bytes) {
		b.used += b.waiters[0].bytes
		close(b.waiters[0].granted)
		b.waiters = b.waiters[1:]
	}
}

// Used returns how many bytes are taken, and how many requests wait.
func (b *Budget) Used() (bytes int64, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, len(b.waiters)
}

// Available returns how many bytes TryAcquire would grant: none while requests
// wait.
func (b *Budget) Available() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) > 0 {
		return 0
	}
	return max(0, b.limit-b.used)
}

// LongestWait returns how long the first request in the queue has waited, and
// -1 if none waits.
func (b *Budget) LongestWait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) == 0 {
		return -1
	}
	return now.Sub(b.waiters[0].since)
}
