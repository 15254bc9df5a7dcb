package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Progress is how far a run is.
type Progress struct {
	Stage   string // what it does
	Done    int64  // objects of this stage
	Total   int64  // 0: not known
	Bytes   int64  // read of objects so far, in all stages
	Elapsed time.Duration
}

// progressInterval is how often progress is reported.
const progressInterval = 5 * time.Second

// counters are what a run counts while it goes on.
type counters struct {
	stage             atomic.Pointer[string]
	done, total       atomic.Int64
	lists, gets, read atomic.Int64
}

func (c *counters) beginStage(name string, total int) {
	c.done.Store(0)
	c.total.Store(int64(total))
	c.stage.Store(&name)
}

// reportProgress calls the configured function now and then, until stop, which
// returns after the last call.
func (w *walk) reportProgress() (stop func()) {
	if w.cfg.Progress == nil {
		return func() {}
	}
	report := func() {
		w.cfg.Progress(Progress{*w.count.stage.Load(), w.count.done.Load(), w.count.total.Load(), w.count.read.Load(), time.Since(w.report.Started)})
	}
	done := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				report()
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		reporter.Wait()
		report()
	}
}

// pacer keeps the bytes that are read below a rate. A read is paid for after it, as
// its size may not be known before.
type pacer struct {
	rate int64 // bytes per second; 0: none

	mu   sync.Mutex
	free time.Time // when the bytes read so far are paid for; guarded by mu
}

func (p *pacer) waitTurn(ctx context.Context) error {
	if p.rate == 0 {
		return ctx.Err()
	}
	for {
		p.mu.Lock()
		wait := time.Until(p.free)
		p.mu.Unlock()
		if wait <= 0 {
			return ctx.Err()
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (p *pacer) payFor(bytes int) {
	if p.rate == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(bytes) / float64(p.rate) * float64(time.Second)))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Tries of a request that the store does not serve, beyond those of the bucket
// itself: a walk of hours must not end with one of them.
const (
	maxTries = 3
	tryPause = 2 * time.Second
)

// getObject reads a range of an object, as bucket.Bucket.Get does.
func (w *walk) getObject(ctx context.Context, key string, off, length int64) ([]byte, error) {
	for try := 1; ; try++ {
		if err := w.pace.waitTurn(ctx); err != nil {
			return nil, err
		}
		b, err := w.cfg.Bucket.Get(ctx, key, off, length)
		w.count.gets.Add(1)
		w.count.read.Add(int64(len(b)))
		w.pace.payFor(len(b))
		if err == nil || try == maxTries || !errors.Is(err, bucket.ErrBusy) {
			return b, err
		}
		if err := sleep(ctx, tryPause); err != nil {
			return nil, err
		}
	}
}

func (w *walk) listPage(ctx context.Context, after string, limit int) ([]bucket.Info, error) {
	for try := 1; ; try++ {
		list, err := w.cfg.Bucket.List(ctx, "", after, limit)
		w.count.lists.Add(int64(max(1, (len(list)+bucket.PageNames-1)/bucket.PageNames)))
		if err == nil {
			return list, nil
		}
		if try == maxTries || !errors.Is(err, bucket.ErrBusy) {
			return nil, fmt.Errorf("list the bucket: %w", err)
		}
		if err := sleep(ctx, tryPause); err != nil {
			return nil, err
		}
	}
}

// isAbsent reports whether an object is not there.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// forEach calls f for 0 to n-1, several at a time, until one fails.
func (w *walk) forEach(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(w.cfg.Concurrency, n) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
					return
				}
				w.count.done.Add(1)
			}
		})
	}
	workers.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
