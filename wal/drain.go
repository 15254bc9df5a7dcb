package wal

import (
	"context"
	"fmt"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// Drain refuses new batches with ErrDraining, seals what is open, and waits
// until every batch is answered or ctx ends. Submit continues to work.
func (w *WAL) Drain(ctx context.Context) error {
	w.refuseNew(ErrDraining, false)
	return w.waitDrained(ctx, false)
}

// waitDrained waits until every batch is answered and, if all is set, until
// every submission is answered and every known orphaned upload is in an entry.
func (w *WAL) waitDrained(ctx context.Context, all bool) error {
	q := &drainWaiter{withSubmissions: all, done: make(chan struct{})}
	w.mu.Lock()
	w.drainWaiters = append(w.drainWaiters, q)
	ready := w.takeDrained()
	w.mu.Unlock()
	for _, r := range ready {
		close(r.done)
	}
	for _, l := range w.lanes {
		if l != nil {
			l.box.postCall(func() { l.draining = true })
		}
	}
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
		w.removeDrainWaiter(q)
		return fmt.Errorf("drain wal: %w", ctx.Err())
	}
}

func (w *WAL) removeDrainWaiter(q *drainWaiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, o := range w.drainWaiters {
		if o == q {
			w.drainWaiters = append(w.drainWaiters[:i], w.drainWaiters[i+1:]...)
			return
		}
	}
}

// DrainPartition seals the partition's open buffer and waits until the batches
// of the partition that are pending now are answered, or until ctx ends.
// Batches that arrive later are accepted as usual and not waited for: when a
// partition moves to another broker, that broker makes the call.
func (w *WAL) DrainPartition(ctx context.Context, tp metadata.TopicPartition) error {
	w.mu.Lock()
	m := w.assignments.addDrainMark(tp)
	w.mu.Unlock()
	if m == nil {
		return nil
	}
	for _, l := range w.lanes {
		if l != nil {
			l.box.postCall(func() { l.sealForDrain(tp) })
		}
	}
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain partition %s/%d: %w", tp.Topic, tp.Partition, ctx.Err())
	}
}

// Close refuses everything new, waits until what is pending is answered or ctx
// ends, fails the rest, and returns when all goroutines have ended. The error
// means that something was failed. A second call waits for the first.
func (w *WAL) Close(ctx context.Context) error {
	w.refuseNew(ErrClosed, true)
	w.mu.Lock()
	again := w.closing
	w.closing = true
	w.mu.Unlock()
	if again {
		<-w.closeDone
		return nil
	}
	defer close(w.closeDone)
	err := w.waitDrained(ctx, true)
	w.cancel()
	w.abandonLanes(ErrClosed)
	w.syncLanes() // from here on no lane starts a task
	w.tasks.Wait()
	stop := func(stopped *bool, box *mailbox) { box.postCall(func() { *stopped = true }) }
	stop(&w.control.stopped, w.control.box)
	for _, l := range w.lanes {
		if l != nil {
			stop(&l.stopped, l.box)
		}
	}
	w.laneLoops.Wait()
	return err
}

// syncLanes waits until every lane has done what was posted to it before.
func (w *WAL) syncLanes() {
	var all sync.WaitGroup
	meet := func(box *mailbox) {
		all.Add(1)
		box.postCall(all.Done)
	}
	meet(w.control.box)
	for _, l := range w.lanes {
		if l != nil {
			meet(l.box)
		}
	}
	all.Wait()
}
