package broker

import (
	"context"
	"sync"
	"time"
)

// budget is an amount of memory that many may hold parts of. Who asks first
// gets first; a part larger than the whole is cut to it.
type budget struct {
	mu      sync.Mutex
	size    int64
	free    int64
	waiting []*budgetWaiter // first come first
	onWait  func()          // told when somebody has to wait; may be nil
}

type budgetWaiter struct {
	n       int64
	since   time.Time
	granted chan struct{}
}

func newBudget(size int64) *budget { return &budget{size: size, free: size} }

// try takes n bytes if they are there at once and nobody waits.
func (b *budget) try(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 || b.free < n {
		return false
	}
	b.free -= n
	return true
}

// acquire takes n bytes and returns how many are to be given back.
func (b *budget) acquire(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.size)
	b.mu.Lock()
	if len(b.waiting) == 0 && b.free >= n {
		b.free -= n
		b.mu.Unlock()
		return n, nil
	}
	w := &budgetWaiter{n, time.Now(), make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
	if b.onWait != nil {
		b.onWait()
	}
	select {
	case <-w.granted:
		return n, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, o := range b.waiting {
		if o == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.grantWaiting()
			return 0, ctx.Err()
		}
	}
	b.free += n // granted while we gave up
	b.grantWaiting()
	return 0, ctx.Err()
}

// releaseBytes gives n bytes back.
func (b *budget) releaseBytes(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.grantWaiting()
}

func (b *budget) grantWaiting() {
	for len(b.waiting) > 0 && b.waiting[0].n <= b.free {
		b.free -= b.waiting[0].n
		close(b.waiting[0].granted)
		b.waiting = b.waiting[1:]
	}
}

// used returns how many bytes are held.
func (b *budget) used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size - b.free
}

// availableBytes returns how many bytes could be taken at once: none while others wait.
func (b *budget) availableBytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 {
		return 0
	}
	return b.free
}

// longestWait returns how long the first in the queue has waited; negative where
// nobody does.
func (b *budget) longestWait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return -1
	}
	return now.Sub(b.waiting[0].since)
}
