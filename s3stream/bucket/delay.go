package bucket

import (
	"context"
	"time"
)

// Delay delays b as the function says, which is called once per call: attempt
// counts the calls of that kind for that name (and offset) from 1; size is the
// bytes put or got (0 otherwise), for functions that simulate a bandwidth.
//
// A request takes effect in the middle of its delay. So a context that ends
// first may leave an object behind, as it may in S3: such a call reports an
// attempt without an answer, and its outcome is unknown.
func Delay(b Bucket, took func(op Op, name string, attempt int, size int64) time.Duration) Bucket {
	return &delayedBucket{b: b, took: took}
}

type delayedBucket struct {
	b        Bucket
	took     func(Op, string, int, int64) time.Duration
	attempts attemptCounter
}

func (d *delayedBucket) Put(ctx context.Context, name string, body []byte) error {
	size := int64(len(body))
	took := d.took(OpPut, name, d.attempts.countAttempt(OpPut, name, 0), size)
	return runMidDelay(ctx, Attempt{Op: OpPut, Name: name, Bytes: size}, took, func(ctx context.Context) error {
		return d.b.Put(ctx, name, body)
	})
}

func (d *delayedBucket) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	attempt := d.attempts.countAttempt(OpGet, name, off)
	var body []byte
	var seen []Attempt
	err := checkRequest(ctx, OpGet, name)
	if err == nil {
		body, err = d.b.Get(withOnlyObserver(ctx, collectAttempts(&seen)), name, off, length)
	}
	if len(seen) == 0 {
		return body, err // nothing was sent
	}
	// The delay depends on the size, which is known only afterwards.
	if late := pause(ctx, d.took(OpGet, name, attempt, int64(len(body)))); late != nil {
		Report(ctx, Attempt{Op: OpGet, Name: name})
		return nil, opError(OpGet, name, late)
	}
	reportAll(ctx, seen)
	return body, err
}

func (d *delayedBucket) List(ctx context.Context, prefix, after string, limit int) (infos []Info, err error) {
	took := d.took(OpList, prefix, d.attempts.countAttempt(OpList, prefix+"\x00"+after, 0), 0)
	err = runMidDelay(ctx, Attempt{Op: OpList, Name: prefix}, took, func(ctx context.Context) error {
		infos, err = d.b.List(ctx, prefix, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

func (d *delayedBucket) Delete(ctx context.Context, names ...string) (deleted []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	took := d.took(OpDelete, names[0], d.attempts.countAttempt(OpDelete, names[0], 0), 0)
	err = runMidDelay(ctx, Attempt{Op: OpDelete, Name: names[0]}, took, func(ctx context.Context) error {
		deleted, err = d.b.Delete(ctx, names...)
		return err
	})
	return keepConfirmed(deleted, err)
}

// runMidDelay does the request half way through its time. If ctx ends on the way
// the attempt is reported as one without an answer, whatever the store thinks.
func runMidDelay(ctx context.Context, a Attempt, took time.Duration, do func(context.Context) error) error {
	if err := checkRequest(ctx, a.Op, a.Name); err != nil {
		return err
	}
	if err := pause(ctx, took/2); err != nil {
		Report(ctx, a)
		return opError(a.Op, a.Name, err)
	}
	var seen []Attempt
	err := do(withOnlyObserver(ctx, collectAttempts(&seen)))
	if len(seen) == 0 {
		return err // refused unsent
	}
	if late := pause(ctx, took-took/2); late != nil {
		Report(ctx, a)
		return opError(a.Op, a.Name, late)
	}
	reportAll(ctx, seen)
	return err
}

// pause waits; it returns the context's error if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// collectAttempts returns an observer that keeps what it sees, for one goroutine.
func collectAttempts(into *[]Attempt) func(Attempt) {
	return func(a Attempt) { *into = append(*into, a) }
}

func reportAll(ctx context.Context, seen []Attempt) {
	for _, a := range seen {
		Report(ctx, a)
	}
}
