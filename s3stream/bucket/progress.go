package bucket

import (
	"context"
	"sync"
	"time"
)

// minProgress is how many bytes have to arrive within RetryConfig.Timeout for an
// attempt to go on: a store that sends a byte now and then is as good as silent.
const minProgress = 64 << 10

type progressKey struct{}

// ReportProgress reports to the Retry around a Get of unknown size that n more
// bytes of the body arrived. It does nothing if there is none.
func ReportProgress(ctx context.Context, n int) {
	if t, ok := ctx.Value(progressKey{}).(*progressTimeout); ok {
		t.extend(n)
	}
}

// ReportAnswer reports to the Retry around a call of several requests that one of
// them was answered. It does nothing if there is none.
func ReportAnswer(ctx context.Context) { ReportProgress(ctx, minProgress) }

// progressTimeout is the context of one attempt. It ends with
// context.DeadlineExceeded after a time that grows while the body arrives, so that
// an object of unknown size is not cut off in the middle, nor a call of many requests. It has a channel and an
// error of its own: contexts derived from it then end with that error too.
type progressTimeout struct {
	parent context.Context
	grace  time.Duration
	done   chan struct{}
	unhook func() bool // from parent

	mu       sync.Mutex
	err      error       // why it ended; guarded by mu
	timer    *time.Timer // guarded by mu
	deadline time.Time   // guarded by mu
	arrived  int         // bytes since the last extension; guarded by mu
}

// newProgressTimeout returns a context that ends when less than minProgress bytes
// arrived within grace. The caller calls stop.
func newProgressTimeout(parent context.Context, grace time.Duration) *progressTimeout {
	t := &progressTimeout{parent: parent, grace: grace, done: make(chan struct{}), deadline: time.Now().Add(grace)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(grace, t.expire)
	t.unhook = context.AfterFunc(parent, func() { t.end(parent.Err()) })
	if err := parent.Err(); err != nil {
		t.err = err
		close(t.done)
	}
	return t
}

// Deadline implements context.Context: the parent's, since the own one moves.
func (t *progressTimeout) Deadline() (time.Time, bool) { return t.parent.Deadline() }

// Done implements context.Context.
func (t *progressTimeout) Done() <-chan struct{} { return t.done }

// Err implements context.Context.
func (t *progressTimeout) Err() error {
	if err := t.parent.Err(); err != nil {
		t.end(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Value implements context.Context.
func (t *progressTimeout) Value(key any) any {
	if key == (progressKey{}) {
		return t
	}
	return t.parent.Value(key)
}

// end ends it, for the first reason that comes.
func (t *progressTimeout) end(reason error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = reason
		close(t.done)
	}
}

func (t *progressTimeout) expire() {
	t.mu.Lock()
	left := time.Until(t.deadline)
	if left > 0 { // it was extended since the timer was set
		t.timer.Reset(left)
	}
	t.mu.Unlock()
	if left <= 0 {
		t.end(context.DeadlineExceeded)
	}
}

func (t *progressTimeout) extend(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.arrived += n; t.arrived < minProgress {
		return
	}
	t.arrived = 0
	if later := time.Now().Add(t.grace); later.After(t.deadline) {
		t.deadline = later
	}
}

func (t *progressTimeout) stop() {
	t.unhook()
	t.mu.Lock()
	t.timer.Stop()
	t.mu.Unlock()
	t.end(context.Canceled)
}
