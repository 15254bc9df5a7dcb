package bucket

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// FaultKind is what becomes of a request.
type FaultKind uint8

const (
	FaultNone          FaultKind = iota // nothing happens to it
	FaultRefused                        // refused with 503, without effect
	FaultRequestLost                    // no answer, without effect
	FaultAnswerLost                     // takes effect, the answer is lost
	FaultLatePut                        // put only: no answer now, takes effect later, even if the caller has gone
	FaultHang                           // no answer until the caller's context ends, without effect
	FaultPartialDelete                  // delete only: answered, some of its names fail and are not deleted
)

// InjectedFault is the fault of one request.
type InjectedFault struct {
	Kind  FaultKind
	After time.Duration // FaultLatePut: the delay
	// FaultPartialDelete: the share of names that fail, 0 to 1, and the seed that
	// selects them. The same names under the same seed fail again.
	Share float64
	Seed  uint64
}

// FaultPlan generates faults at random; the chances are per request, 0 to 1,
// and their sum is at most 1.
type FaultPlan struct {
	Seed                      uint64
	Before, Lost, After, Late float64
	Hang                      float64
	LateBy                    time.Duration // a late put lands within this time, not at once
	Partial                   float64       // of a delete of several names: that some of them fail
	PartialShare              float64       // of its names that fail then
}

// Decide is the fault of the attempt'th call of op for that name: a pure
// function of plan and arguments.
func (p FaultPlan) Decide(op Op, name string, attempt int) InjectedFault {
	x := generateFraction(p.Seed, "fate", op, name, attempt)
	for _, chance := range []struct {
		of   float64
		kind FaultKind
	}{{p.Before, FaultRefused}, {p.Lost, FaultRequestLost}, {p.After, FaultAnswerLost}, {p.Late, FaultLatePut}, {p.Hang, FaultHang}} {
		if x < chance.of {
			return InjectedFault{Kind: chance.kind, After: GenerateDuration(p.Seed, "late", op, name, attempt, p.LateBy)}
		}
		x -= chance.of
	}
	if op == OpDelete && x < p.Partial {
		return InjectedFault{Kind: FaultPartialDelete, Share: p.PartialShare, Seed: generateBits(p.Seed, "names", op, name, attempt)}
	}
	return InjectedFault{}
}

// FaultyBucket is a bucket whose requests have faults, and that can be switched
// off. It loses answers as a network does: the attempt is reported without an
// answer, the error is ErrBusy, and the store may have done the request.
type FaultyBucket struct {
	b        Bucket
	decide   func(op Op, name string, attempt int) InjectedFault
	attempts attemptCounter
	down     atomic.Bool

	mu       sync.Mutex
	closed   bool           // guarded by mu
	latePuts sync.WaitGroup // puts on their way; Add under mu, not after closed
}

// NewFaultyBucket wraps b. decide is called once per call and must be a pure
// function: FaultPlan.Decide, or a script. Close it after use.
func NewFaultyBucket(b Bucket, decide func(op Op, name string, attempt int) InjectedFault) *FaultyBucket {
	return &FaultyBucket{b: b, decide: decide}
}

// SetDown switches the bucket off and on. While it is down every request is
// answered 503 without effect; late puts that are on their way still land.
func (f *FaultyBucket) SetDown(down bool) { f.down.Store(down) }

// Close waits until all late puts are done. A put that would be late is lost
// from then on.
func (f *FaultyBucket) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.latePuts.Wait()
}

// Put implements Bucket.
func (f *FaultyBucket) Put(ctx context.Context, name string, body []byte) error {
	a := Attempt{Op: OpPut, Name: name, Bytes: int64(len(body))}
	if err := checkRequest(ctx, OpPut, name, CheckName(name), checkBody(name, body)); err != nil {
		return err
	}
	fault := f.nextFault(OpPut, name, name, 0)
	if fault.Kind != FaultLatePut {
		return f.runWithFault(ctx, a, fault, func(ctx context.Context) error { return f.b.Put(ctx, name, body) })
	}
	f.putLate(ctx, name, append([]byte(nil), body...), fault.After)
	return failUnanswered(ctx, a)
}

// putLate puts the object after a delay, without a caller.
func (f *FaultyBucket) putLate(ctx context.Context, name string, body []byte, after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	ctx = withOnlyObserver(context.WithoutCancel(ctx), func(Attempt) {})
	f.latePuts.Go(func() {
		time.Sleep(after)
		// Its sender has given it up: success, 412 and faults are all the same to it.
		_ = f.b.Put(ctx, name, body)
	})
}

// Get implements Bucket.
func (f *FaultyBucket) Get(ctx context.Context, name string, off, length int64) (body []byte, err error) {
	if err := checkRequest(ctx, OpGet, name, CheckName(name)); err != nil {
		return nil, err
	}
	if length == 0 && off >= 0 {
		return []byte{}, nil
	}
	err = f.runWithFault(ctx, Attempt{Op: OpGet, Name: name}, f.nextFault(OpGet, name, name, off), func(ctx context.Context) error {
		body, err = f.b.Get(ctx, name, off, length)
		return err
	})
	if err != nil {
		return nil, err
	}
	return body, nil
}

// List implements Bucket.
func (f *FaultyBucket) List(ctx context.Context, prefix, after string, limit int) (infos []Info, err error) {
	fault := f.nextFault(OpList, prefix, prefix+"\x00"+after, 0)
	err = f.runWithFault(ctx, Attempt{Op: OpList, Name: prefix}, fault, func(ctx context.Context) error {
		infos, err = f.b.List(ctx, prefix, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

// Delete implements Bucket.
func (f *FaultyBucket) Delete(ctx context.Context, names ...string) (deleted []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := checkRequest(ctx, OpDelete, names[0], CheckNames(names)); err != nil {
		return nil, err
	}
	fault := f.nextFault(OpDelete, names[0], names[0], 0)
	err = f.runWithFault(ctx, Attempt{Op: OpDelete, Name: names[0]}, fault, func(ctx context.Context) error {
		if fault.Kind == FaultPartialDelete && len(names) > 1 {
			deleted, err = f.deleteSome(ctx, names, fault)
		} else {
			deleted, err = f.b.Delete(ctx, names...)
		}
		return err
	})
	return keepConfirmed(deleted, err)
}

// deleteSome deletes those names that the fault does not select.
func (f *FaultyBucket) deleteSome(ctx context.Context, names []string, fault InjectedFault) ([]string, error) {
	var pass []string
	var failures []DeleteFailure
	for _, name := range names {
		if failure, fails := fault.failName(name); fails {
			failures = append(failures, failure)
		} else {
			pass = append(pass, name)
		}
	}
	if len(pass) == 0 { // it is answered all the same
		Report(ctx, Attempt{Op: OpDelete, Name: names[0], Status: 200})
		return DeleteResult(names, failures)
	}
	if _, err := f.b.Delete(ctx, pass...); err != nil {
		return nil, err
	}
	return DeleteResult(names, failures)
}

// failName returns how the deletion of that name fails, if it does. Half of those
// that fail are throttled, which a Retry asks for again; half are denied.
func (i InjectedFault) failName(name string) (f DeleteFailure, fails bool) {
	if generateFraction(i.Seed, "name", OpDelete, name, 0) >= i.Share {
		return DeleteFailure{}, false
	}
	if generateBits(i.Seed, "code", OpDelete, name, 0)%2 == 0 {
		return DeleteFailure{Name: name, Code: "SlowDown", Err: fmt.Errorf("%w: SlowDown", ErrBusy)}, true
	}
	return DeleteFailure{Name: name, Code: "AccessDenied", Err: fmt.Errorf("%w: AccessDenied", ErrDenied)}, true
}

// nextFault counts the attempt and returns its fault.
func (f *FaultyBucket) nextFault(op Op, name, counted string, off int64) InjectedFault {
	attempt := f.attempts.countAttempt(op, counted, off)
	if f.down.Load() {
		return InjectedFault{Kind: FaultRefused}
	}
	return f.decide(op, name, attempt)
}

func (f *FaultyBucket) runWithFault(ctx context.Context, a Attempt, fault InjectedFault, do func(context.Context) error) error {
	if err := checkRequest(ctx, a.Op, a.Name); err != nil {
		return err
	}
	switch fault.Kind {
	case FaultRefused:
		a.Status = 503
		Report(ctx, a)
		return opError(a.Op, a.Name, fmt.Errorf("%w: status 503", ErrBusy))
	case FaultRequestLost, FaultLatePut:
		return failUnanswered(ctx, a)
	case FaultHang:
		<-ctx.Done()
		Report(ctx, a)
		return opError(a.Op, a.Name, ctx.Err())
	case FaultAnswerLost:
		_ = do(withOnlyObserver(ctx, func(Attempt) {})) // the result is lost
		return failUnanswered(ctx, a)
	default:
		return do(ctx)
	}
}

// failUnanswered is a request whose answer never came.
func failUnanswered(ctx context.Context, a Attempt) error {
	Report(ctx, a)
	return opError(a.Op, a.Name, fmt.Errorf("%w: no answer", ErrBusy))
}
