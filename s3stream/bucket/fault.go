package bucket

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// FateKind is what becomes of a request.
type FateKind uint8

const (
	FateOK     FateKind = iota // nothing happens to it
	FateBefore                 // refused with 503, without effect
	FateLost                   // no answer, without effect
	FateAfter                  // takes effect, the answer is lost
	FateLate                   // put only: no answer now, takes effect later, even if the caller has gone
	FateHang                   // no answer until the caller's context ends, without effect
)

// Fate is the fate of one request. After is the delay of FateLate.
type Fate struct {
	Kind  FateKind
	After time.Duration
}

// FaultPlan draws fates by chance; the chances are per request, 0 to 1, and
// their sum is at most 1.
type FaultPlan struct {
	Seed                      uint64
	Before, Lost, After, Late float64
	Hang                      float64
	LateBy                    time.Duration // a late put lands within this time, not at once
}

// Decide is the fate of the attempt'th call of op for that name: a pure
// function of plan and arguments.
func (p FaultPlan) Decide(op Op, name string, attempt int) Fate {
	x := drawFraction(p.Seed, "fate", op, name, attempt)
	for _, chance := range []struct {
		of   float64
		kind FateKind
	}{{p.Before, FateBefore}, {p.Lost, FateLost}, {p.After, FateAfter}, {p.Late, FateLate}, {p.Hang, FateHang}} {
		if x < chance.of {
			return Fate{chance.kind, Drawn(p.Seed, "late", op, name, attempt, p.LateBy)}
		}
		x -= chance.of
	}
	return Fate{}
}

// Fault is a bucket whose requests have a fate, and that can be switched off.
// What it loses, it loses as a network does: the attempt is reported without an
// answer, the error is ErrBusy, and what the store did is another matter.
type Fault struct {
	b      Bucket
	decide func(op Op, name string, attempt int) Fate
	tries  tries
	down   atomic.Bool

	mu     sync.Mutex
	closed bool           // guarded by mu
	late   sync.WaitGroup // puts on their way; Add under mu, not after closed
}

// NewFault wraps b. decide is asked once per call and must be a pure function:
// FaultPlan.Decide, or a script. Close it after use.
func NewFault(b Bucket, decide func(op Op, name string, attempt int) Fate) *Fault {
	return &Fault{b: b, decide: decide}
}

// SetDown switches the bucket off and on. While it is down every request is
// answered 503 without effect; late puts that are on their way still land.
func (f *Fault) SetDown(down bool) { f.down.Store(down) }

// Close waits until all late puts have landed. A put whose fate would be late
// is merely lost from then on.
func (f *Fault) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.late.Wait()
}

// Put implements Bucket.
func (f *Fault) Put(ctx context.Context, name string, body []byte) error {
	a := Attempt{Op: OpPut, Name: name, Bytes: int64(len(body))}
	if err := refuse(ctx, OpPut, name, CheckName(name), checkBody(name, body)); err != nil {
		return err
	}
	fate := f.fate(OpPut, name, name, 0)
	if fate.Kind != FateLate {
		return f.meet(ctx, a, fate, func(ctx context.Context) error { return f.b.Put(ctx, name, body) })
	}
	f.landLate(ctx, name, append([]byte(nil), body...), fate.After)
	return lose(ctx, a)
}

// landLate puts the object after a while, on behalf of nobody.
func (f *Fault) landLate(ctx context.Context, name string, body []byte, after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	ctx = muted(context.WithoutCancel(ctx), func(Attempt) {})
	f.late.Go(func() {
		time.Sleep(after)
		// Its sender has given it up: success, 412 and faults are all the same to it.
		_ = f.b.Put(ctx, name, body)
	})
}

// Get implements Bucket.
func (f *Fault) Get(ctx context.Context, name string, off, length int64) (body []byte, err error) {
	if err := refuse(ctx, OpGet, name, CheckName(name)); err != nil {
		return nil, err
	}
	if length == 0 && off >= 0 {
		return []byte{}, nil
	}
	err = f.meet(ctx, Attempt{Op: OpGet, Name: name}, f.fate(OpGet, name, name, off), func(ctx context.Context) error {
		body, err = f.b.Get(ctx, name, off, length)
		return err
	})
	if err != nil {
		return nil, err
	}
	return body, nil
}

// List implements Bucket.
func (f *Fault) List(ctx context.Context, prefix, after string, limit int) (infos []Info, err error) {
	fate := f.fate(OpList, prefix, prefix+"\x00"+after, 0)
	err = f.meet(ctx, Attempt{Op: OpList, Name: prefix}, fate, func(ctx context.Context) error {
		infos, err = f.b.List(ctx, prefix, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

// Delete implements Bucket.
func (f *Fault) Delete(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	if err := refuse(ctx, OpDelete, names[0], CheckNames(names)); err != nil {
		return err
	}
	fate := f.fate(OpDelete, names[0], names[0], 0)
	return f.meet(ctx, Attempt{Op: OpDelete, Name: names[0]}, fate, func(ctx context.Context) error {
		return f.b.Delete(ctx, names...)
	})
}

// fate counts the attempt and asks what becomes of it.
func (f *Fault) fate(op Op, name, counted string, off int64) Fate {
	attempt := f.tries.next(op, counted, off)
	if f.down.Load() {
		return Fate{Kind: FateBefore}
	}
	return f.decide(op, name, attempt)
}

func (f *Fault) meet(ctx context.Context, a Attempt, fate Fate, do func(context.Context) error) error {
	if err := refuse(ctx, a.Op, a.Name); err != nil {
		return err
	}
	switch fate.Kind {
	case FateBefore:
		a.Status = 503
		Report(ctx, a)
		return opError(a.Op, a.Name, fmt.Errorf("%w: status 503", ErrBusy))
	case FateLost, FateLate:
		return lose(ctx, a)
	case FateHang:
		<-ctx.Done()
		Report(ctx, a)
		return opError(a.Op, a.Name, ctx.Err())
	case FateAfter:
		_ = do(muted(ctx, func(Attempt) {})) // what came of it is what nobody learns
		return lose(ctx, a)
	default:
		return do(ctx)
	}
}

// lose is a request whose answer never came.
func lose(ctx context.Context, a Attempt) error {
	Report(ctx, a)
	return opError(a.Op, a.Name, fmt.Errorf("%w: no answer", ErrBusy))
}
