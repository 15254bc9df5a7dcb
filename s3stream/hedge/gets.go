package hedge

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// maxGet is the largest read that is hedged, in bytes: what takes longer than
// MaxWait by its size alone would always be sent twice.
const maxGet = 8 << 20

// Gets is a bucket whose reads of up to 8 MiB are hedged. Requests of a try
// that lost are reported to the observers of the call's context when they end,
// which may be after the call has returned. Close it after use.
type Gets struct {
	bucket.Bucket
	hedger *Hedger

	life   context.Context // of losers; ends with Close
	end    context.CancelFunc
	mu     sync.Mutex
	closed bool           // guarded by mu
	work   sync.WaitGroup // races; Add under mu, not after closed
}

// NewGets hedges the reads of b, which makes its requests as a Retry does.
func NewGets(b bucket.Bucket, c Config) *Gets {
	g := &Gets{Bucket: b, hedger: New(c)}
	g.life, g.end = context.WithCancel(context.Background())
	return g
}

// Close ends the requests under way and waits for them.
func (g *Gets) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.end()
	g.work.Wait()
}

// Stats returns what the reads' Hedger has done.
func (g *Gets) Stats() Stats { return g.hedger.Stats() }

var errClosed = errors.New("bucket is closed")

// Get implements bucket.Bucket.
func (g *Gets) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	size := length
	if off < 0 {
		size = -off
	}
	if size <= 0 || size > maxGet || ctx.Err() != nil {
		return g.Bucket.Get(ctx, name, off, length)
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil, fmt.Errorf("get %q: %w", name, errClosed)
	}
	g.work.Add(1)
	g.mu.Unlock()
	// Tries outlive a caller who has its answer, but not one who left.
	trying, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stay := context.AfterFunc(ctx, cancel)
	r := &reading{b: g.Bucket, name: name, off: off, length: length, done: make(chan struct{}), stay: stay}
	go func() {
		defer g.work.Done()
		defer cancel()
		defer context.AfterFunc(g.life, cancel)()
		g.hedger.Run(trying, Race{Op: bucket.OpGet, Bytes: int(size), Phase: r.phase(), Try: r.try, Final: final, Ended: r.ended})
	}()
	<-r.done
	if r.err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("get %q: %w", name, ctx.Err())
	}
	return r.body, r.err
}

// reading is one read and its tries.
type reading struct {
	b           bucket.Bucket
	name        string
	off, length int64
	bodies      [MaxTries][]byte // of tries that have ended
	stay        func() bool      // from then on the caller's leaving ends nothing

	done chan struct{} // closed when body or err is there
	body []byte
	err  error
}

func (r *reading) phase() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", r.name, r.off)
	return h.Sum64()
}

func (r *reading) try(n int) (func(context.Context) error, error) {
	return func(ctx context.Context) (err error) {
		r.bodies[n], err = r.b.Get(ctx, r.name, r.off, r.length)
		return err
	}, nil
}

func (r *reading) ended(e Ended) {
	if e.Decides {
		r.stay()
		r.body, r.err = r.bodies[e.Try], e.Err
		close(r.done)
	}
	r.bodies[e.Try] = nil
}

// final knows what the store would answer a second time, too.
func final(err error) bool {
	return errors.Is(err, bucket.ErrNotFound) || errors.Is(err, bucket.ErrRange) || errors.Is(err, bucket.ErrDenied)
}
