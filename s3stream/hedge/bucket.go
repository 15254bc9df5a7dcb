package hedge

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// maxHedgedGetBytes is the largest read that is hedged, in bytes: what takes
// longer than MaxWait by its size alone would always be sent twice.
const maxHedgedGetBytes = 8 << 20

// Bucket is a bucket whose reads of up to 8 MiB are hedged. Requests of a try
// that lost are reported to the observers of the call's context when they end,
// which may be after the call has returned. Close it after use.
type Bucket struct {
	bucket.Bucket
	hedger *Hedger

	lifeCtx    context.Context // of losing requests; ends with Close
	cancelLife context.CancelFunc
	mu         sync.Mutex
	closed     bool           // guarded by mu
	races      sync.WaitGroup // races; Add under mu, not after closed
}

// NewBucket hedges the reads of b, which makes its requests as a Retry does.
func NewBucket(b bucket.Bucket, c Config) *Bucket {
	g := &Bucket{Bucket: b, hedger: New(c)}
	g.lifeCtx, g.cancelLife = context.WithCancel(context.Background())
	return g
}

// Close ends the requests under way and waits for them.
func (g *Bucket) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.cancelLife()
	g.races.Wait()
}

// Stats returns the statistics of the reads' Hedger.
func (g *Bucket) Stats() Stats { return g.hedger.Stats() }

var errClosed = errors.New("bucket is closed")

// Get implements bucket.Bucket.
func (g *Bucket) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	size := length
	if off < 0 {
		size = -off
	}
	if size <= 0 || size > maxHedgedGetBytes || ctx.Err() != nil {
		return g.Bucket.Get(ctx, name, off, length)
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil, fmt.Errorf("get %q: %w", name, errClosed)
	}
	g.races.Add(1)
	g.mu.Unlock()
	// Tries outlive a caller that has its answer, but not one that left.
	trying, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stay := context.AfterFunc(ctx, cancel)
	r := &hedgedRead{b: g.Bucket, name: name, off: off, length: length, done: make(chan struct{}), detach: stay}
	go func() {
		defer g.races.Done()
		defer cancel()
		defer context.AfterFunc(g.lifeCtx, cancel)()
		g.hedger.Run(trying, Race{Op: bucket.OpGet, Bytes: int(size), Phase: r.racePhase(), Try: r.prepareTry, Final: isFinalError, OnTryEnd: r.handleTryEnd})
	}()
	<-r.done
	if r.err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("get %q: %w", name, ctx.Err())
	}
	return r.body, r.err
}

// hedgedRead is one read and its tries.
type hedgedRead struct {
	b           bucket.Bucket
	name        string
	off, length int64
	bodies      [MaxTries][]byte // of tries that have ended
	detach      func() bool      // from then on the end of the caller's context ends nothing

	done chan struct{} // closed when body or err is set
	body []byte
	err  error
}

func (r *hedgedRead) racePhase() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", r.name, r.off)
	return h.Sum64()
}

func (r *hedgedRead) prepareTry(n int) (func(context.Context) error, error) {
	return func(ctx context.Context) (err error) {
		r.bodies[n], err = r.b.Get(ctx, r.name, r.off, r.length)
		return err
	}, nil
}

func (r *hedgedRead) handleTryEnd(e TryResult) {
	if e.Decides {
		r.detach()
		r.body, r.err = r.bodies[e.Try], e.Err
		close(r.done)
	}
	r.bodies[e.Try] = nil
}

// isFinalError reports whether the store would return the error a second time,
// too.
func isFinalError(err error) bool {
	return errors.Is(err, bucket.ErrNotFound) || errors.Is(err, bucket.ErrRange) || errors.Is(err, bucket.ErrDenied)
}
