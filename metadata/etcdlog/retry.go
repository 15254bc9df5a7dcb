package etcdlog

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// retrier paces the repetition of one request: a longer time limit for each
// attempt and a pause between them. Both depend on the seed, the request's name
// and the attempt only, not on a random stream that other requests use too.
type retrier struct {
	l    *Log
	name string
	n    int
}

// attemptTimeout is how long the next attempt may take.
func (a *retrier) attemptTimeout() time.Duration {
	return min(a.l.cfg.AttemptTimeout<<min(a.n, 10), maxAttemptWait) + a.l.jitter("timeout", a.name, a.n, time.Millisecond)
}

// sendTxn sends t once, with the attempt's own time limit.
func (a *retrier) sendTxn(ctx context.Context, t *txnReq) (*txnResp, error) {
	actx, cancel := context.WithTimeout(ctx, a.attemptTimeout())
	defer cancel()
	return a.l.c.Txn(actx, t)
}

// sendOnce sends t a single time. After an error that is not a refusal t may or
// may not have been executed, and the caller's own repetition finds out.
func (l *Log) sendOnce(ctx context.Context, name string, t *txnReq) (*txnResp, error) {
	return (&retrier{l: l, name: name}).sendTxn(ctx, t)
}

// waitForRetry waits before the next attempt; an error means that ctx ended.
func (a *retrier) waitForRetry(ctx context.Context, last error) error {
	base := min(10*time.Millisecond<<min(a.n, 6), 500*time.Millisecond)
	wait := base/2 + a.l.jitter("pause", a.name, a.n, base)
	a.n++
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w (attempt %d, last: %w)", ctx.Err(), a.n, last)
	case <-time.After(wait):
		return nil
	}
}

// waitForCurrentServer is waitForRetry for requests at a revision: it waits until
// a read has shown that the server, which may be another one than before, is not
// behind. At a server that is behind, a watch from a revision that it never had
// would deliver nothing, and a page would fail, for ever.
func (l *Log) waitForCurrentServer(ctx context.Context, at *retrier, last error) error {
	for {
		if err := at.waitForRetry(ctx, last); err != nil {
			return err
		}
		_, err := l.readState(ctx)
		if err == nil || errors.Is(err, metadata.ErrOlderLog) || errors.Is(err, metadata.ErrNewerIncarnation) {
			return err
		}
		last = err
	}
}

// jitter returns a time below max that depends on the seed and the names only.
func (l *Log) jitter(kind, name string, n int, max time.Duration) time.Duration {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%s/%d", l.seed, kind, name, n)
	v := h.Sum64()
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	return time.Duration(v % uint64(max))
}

// sleep waits d, or until ctx ends.
func (l *Log) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
