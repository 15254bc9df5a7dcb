package wal

import (
	"context"
	"sync"
)

// budget bounds the bytes that are not acknowledged yet. While it is full,
// callers wait in order of arrival, so that a large batch is never overtaken
// indefinitely.
type budget struct {
	mu      sync.Mutex // guards what follows
	limit   int64
	used    int64
	waiters []*budgetWaiter
}

type budgetWaiter struct {
	n       int64
	granted chan struct{}
}

// acquire takes n bytes and waits until they are available, ctx ends or stop is
// closed. A batch that is larger than the whole budget goes in alone.
func (b *budget) acquire(ctx context.Context, n int64, stop <-chan struct{}) error {
	b.mu.Lock()
	if len(b.waiters) == 0 && b.fits(n) {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	me := &budgetWaiter{n, make(chan struct{})}
	b.waiters = append(b.waiters, me)
	b.mu.Unlock()
	var err error
	select {
	case <-me.granted:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-stop:
		err = ErrClosed
	}
	b.cancelWait(me)
	return err
}

func (b *budget) fits(n int64) bool { return b.used == 0 || b.used+n <= b.limit }

// cancelWait removes a waiter from the queue; what it was granted meanwhile
// goes to the next one.
func (b *budget) cancelWait(me *budgetWaiter) {
	b.mu.Lock()
	for i, o := range b.waiters {
		if o == me {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.mu.Unlock()
			b.release(0) // the next in the queue may fit
			return
		}
	}
	b.mu.Unlock()
	b.release(me.n)
}

// charge adds n bytes that are in memory already, without waiting.
func (b *budget) charge(n int64) {
	b.mu.Lock()
	b.used += n
	b.mu.Unlock()
}

// release returns n bytes and admits waiters.
func (b *budget) release(n int64) {
	b.mu.Lock()
	b.used -= n
	k := 0
	for k < len(b.waiters) && b.fits(b.waiters[k].n) {
		b.used += b.waiters[k].n
		k++
	}
	woken := b.waiters[:k:k]
	b.waiters = b.waiters[k:]
	b.mu.Unlock()
	for _, w := range woken {
		close(w.granted)
	}
}

// readUsage returns the bytes taken and the number of waiters.
func (b *budget) readUsage() (used int64, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, len(b.waiters)
}
