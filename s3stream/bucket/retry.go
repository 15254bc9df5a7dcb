package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// RetryConfig bounds the retries of a Retry.
type RetryConfig struct {
	Attempts int           // per call, the first one included
	Base     time.Duration // the longest pause after the first attempt; it doubles from there
	Cap      time.Duration // the longest pause of all
	// Timeout bounds one attempt: this plus a second per PerSecond bytes of
	// payload. A Get of unknown size ends when less than 64 KiB arrived within
	// Timeout (ReportProgress), a Delete when none of its requests was answered
	// within Timeout (ReportAnswer). A request to a store that stays silent is sent
	// again over another connection.
	Timeout   time.Duration
	PerSecond int64
	Seed      uint64 // of the jitter; differs by process
}

// DefaultRetry suits S3: five attempts within about three seconds of pauses. S3
// answers 99.9 % of requests within a second; with 503 it requests a lower
// rate.
func DefaultRetry() RetryConfig {
	return RetryConfig{Attempts: 5, Base: 50 * time.Millisecond, Cap: 2 * time.Second, Timeout: 10 * time.Second, PerSecond: 4 << 20}
}

// Validate returns what is wrong with the configuration.
func (c RetryConfig) Validate() error {
	if c.Attempts < 1 || c.Attempts > 20 {
		return fmt.Errorf("retry attempts %d: want 1 to 20", c.Attempts)
	}
	if c.Base <= 0 || c.Cap < c.Base || c.Timeout <= 0 || c.PerSecond <= 0 {
		return fmt.Errorf("retry pauses %v to %v, timeout %v + 1 s per %d bytes: want all above zero and growing", c.Base, c.Cap, c.Timeout, c.PerSecond)
	}
	return nil
}

// Retry repeats a request of b after ErrBusy and after an attempt that timed
// out, with pauses that are generated (a function of seed, operation, name and
// attempt, so that a simulation can be replayed) and a bound. b makes one
// attempt per call. At the end the error is ErrBusy; if the caller's own
// context ends, it is the context's error.
//
// An attempt of a Put whose answer was lost may have landed. So where a later
// attempt of the same call finds the name taken, the object is read back: our
// bytes are success, others are ErrExists. Where the first attempt finds the
// name taken nothing is compared: it cannot be ours.
func Retry(b Bucket, config RetryConfig) Bucket {
	r := retryingBucket{b, config}
	if uploads, ok := b.(UploadAborter); ok {
		return retryingUploads{r, uploads}
	}
	return r
}

type retryingBucket struct {
	b      Bucket
	config RetryConfig
}

func (r retryingBucket) Put(ctx context.Context, name string, body []byte) error {
	mayHaveLanded := false
	return r.runAttempts(ctx, OpPut, name, int64(len(body)), func(ctx context.Context) error {
		err := r.b.Put(ctx, name, body)
		if errors.Is(err, ErrExists) && mayHaveLanded {
			return r.compareBody(ctx, name, body, err)
		}
		mayHaveLanded = true
		return err
	})
}

// compareBody decides what an ErrExists after an attempt of unknown outcome means.
func (r retryingBucket) compareBody(ctx context.Context, name string, body []byte, exists error) error {
	there, err := r.b.Get(ctx, name, 0, -1)
	if errors.Is(err, ErrNotFound) {
		return opError(OpPut, name, fmt.Errorf("%w: it existed and was then not found", ErrBusy))
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(there, body) {
		return exists
	}
	return nil
}

func (r retryingBucket) Get(ctx context.Context, name string, off, length int64) (body []byte, err error) {
	size := max(length, -off)
	if off >= 0 && length < 0 {
		size = unknownSize
	}
	err = r.runAttempts(ctx, OpGet, name, size, func(ctx context.Context) error {
		body, err = r.b.Get(ctx, name, off, length)
		return err
	})
	return body, err
}

func (r retryingBucket) List(ctx context.Context, prefix, after string, limit int) ([]Info, error) {
	var found []Info
	for { // by page, so that a fault on the last one does not repeat the first
		want := PageNames
		if limit > 0 {
			want = min(want, limit-len(found))
		}
		var page []Info
		err := r.runAttempts(ctx, OpList, prefix, 0, func(ctx context.Context) (err error) {
			page, err = r.b.List(ctx, prefix, after, want)
			return err
		})
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
		if len(page) < want || len(found) == limit {
			return found, nil
		}
		after = page[len(page)-1].Name
	}
}

// unknownSize is the size of a Get of all that an object has, and of a call of
// several requests.
const unknownSize = -1

// runAttempts makes the attempts. size is the payload's, or unknownSize.
func (r retryingBucket) runAttempts(ctx context.Context, op Op, name string, size int64, attempt func(context.Context) error) error {
	for n := 1; ; n++ {
		reportRequestStart(ctx, op)
		err := r.runOnce(ctx, size, attempt)
		retriable := isRetriable(err)
		switch {
		case err == nil || ctx.Err() == nil && !retriable:
			return err
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return err
		case ctx.Err() != nil:
			return opError(op, name, fmt.Errorf("%w, after %w", ctx.Err(), err))
		case n >= r.config.Attempts && errors.Is(err, ErrBusy):
			return fmt.Errorf("gave up after %d attempts: %w", n, err)
		case n >= r.config.Attempts:
			return opError(op, name, fmt.Errorf("%w: gave up after %d attempts without an answer in time", ErrBusy, n))
		}
		if err := pause(ctx, r.pauseAfter(op, name, n)); err != nil {
			return opError(op, name, err)
		}
	}
}

func (r retryingBucket) runOnce(ctx context.Context, size int64, attempt func(context.Context) error) error {
	if size == unknownSize {
		limited := newProgressTimeout(ctx, r.config.Timeout)
		defer limited.stop()
		return attempt(limited)
	}
	seconds := float64(size) / float64(r.config.PerSecond)
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout+time.Duration(seconds*float64(time.Second)))
	defer cancel()
	return attempt(ctx)
}

// pauseAfter generates a pause in the upper half of a span that doubles: spread
// enough to separate requests that failed together, long enough to be a pause.
func (r retryingBucket) pauseAfter(op Op, name string, n int) time.Duration {
	span := min(r.config.Cap, r.config.Base<<min(n-1, 30))
	return span/2 + time.Duration(generateFraction(r.config.Seed, "pause", op, name, n)*float64(span/2))
}
