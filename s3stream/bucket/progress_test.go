package bucket

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// tricklingBucket sends an object of unknown size in pieces, one every interval,
// and falls silent after some.
type tricklingBucket struct {
	Bucket
	pieces, piece int
	interval      time.Duration
	silentAfter   int // pieces; 0: never
	calls         int
}

func (b *tricklingBucket) Get(ctx context.Context, _ string, _, _ int64) ([]byte, error) {
	b.calls++
	ctx, cancel := context.WithCancel(ctx) // as an SDK derives contexts of its own
	defer cancel()
	for n := range b.pieces {
		wait := b.interval
		if b.silentAfter > 0 && n == b.silentAfter {
			wait = time.Hour
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, opError(OpGet, "a", ctx.Err())
		}
		ReportProgress(ctx, b.piece)
	}
	return make([]byte, b.pieces*b.piece), nil
}

// A whole GET has no size that a time-out could follow from: it goes on as long as
// the body arrives. A checkpoint that takes a minute can be loaded.
func TestAWholeGetTakesAsLongAsItMakesProgress(t *testing.T) {
	for _, c := range []struct {
		name   string
		bucket tricklingBucket
		ok     bool
		within time.Duration
	}{
		{"a minute of pieces", tricklingBucket{pieces: 60, piece: 1 << 20, interval: time.Second}, true, time.Minute},
		{"pieces almost as far apart as the time-out", tricklingBucket{pieces: 20, piece: 1 << 20, interval: 9 * time.Second}, true, 3 * time.Minute},
		{"silence from the start", tricklingBucket{pieces: 1, piece: 1 << 20, interval: time.Hour}, false, 2 * time.Minute},
		{"silence in the middle", tricklingBucket{pieces: 60, piece: 1 << 20, interval: time.Second, silentAfter: 30}, false, 4 * time.Minute},
		{"a few bytes now and then", tricklingBucket{pieces: 1000, piece: 10, interval: time.Second}, false, 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				body, err := Retry(&c.bucket, DefaultRetry()).Get(t.Context(), "a", 0, -1)
				took := time.Since(begin)
				if c.ok && (err != nil || len(body) != c.bucket.pieces*c.bucket.piece || c.bucket.calls != 1) {
					t.Errorf("%d bytes in %d attempts, %v", len(body), c.bucket.calls, err)
				}
				if !c.ok && (!errors.Is(err, ErrBusy) || c.bucket.calls != DefaultRetry().Attempts) {
					t.Errorf("%v after %d attempts, want ErrBusy after all", err, c.bucket.calls)
				}
				if took > c.within {
					t.Errorf("it took %v, want %v at most", took, c.within)
				}
			})
		})
	}
}

// The caller's own end is not a time-out.
func TestAnAttemptEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		b := tricklingBucket{pieces: 60, piece: 1 << 20, interval: time.Second}
		if _, err := Retry(&b, DefaultRetry()).Get(ctx, "a", 0, -1); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrBusy) || b.calls != 1 {
			t.Errorf("%v after %d attempts", err, b.calls)
		}
	})
}
