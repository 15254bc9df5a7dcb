package bucket

import (
	"context"
	"fmt"
)

// Op is a kind of request.
type Op uint8

const (
	OpPut Op = iota + 1
	OpGet
	OpList
	OpDelete
)

func (o Op) String() string {
	switch o {
	case OpPut:
		return "put"
	case OpGet:
		return "get"
	case OpList:
		return "list"
	case OpDelete:
		return "delete"
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Cause is the purpose of a request. It is a label of the meters, so the set is
// closed: the constants below.
type Cause string

const (
	CauseWAL        Cause = "wal"        // record bytes written
	CauseArchive    Cause = "archive"    // closed extents of the log
	CauseCheckpoint Cause = "checkpoint" // the applied state
	CauseFetch      Cause = "fetch"      // record bytes read
	CauseProbe      Cause = "probe"      // what the bucket can do
	CauseGC         Cause = "gc"         // garbage and leftovers
	CauseRecover    Cause = "recover"    // a start, or a recovery
	CauseVerify     Cause = "verify"     // the bucket compared with the state
	CauseUsage      Cause = "usage"      // cells of the ledger too large for an entry
)

// Attempt is one request that was sent, and what came back.
type Attempt struct {
	Op   Op
	Name string // full name in the bucket; the first one of a delete; the prefix of a list
	// Status is the HTTP status, or the one that S3 would have given: 200, 204, 206,
	// 404, 412, 416, 403, 500, 503; 0 when no answer came.
	Status int
	Bytes  int64 // payload: of the body sent by a put, of the part received by a get; else 0
	Cause  Cause
}

// Billable reports whether S3 bills this request: those it answered, except
// where the fault was its own (5xx).
func (a Attempt) Billable() bool { return a.Status >= 200 && a.Status < 500 }

type observerKey struct{}
type requestStartKey struct{}
type causeKey struct{}
type checksumKey struct{}

// WithObserver adds an observer of the attempts made under ctx. It is called
// on the goroutine that made the request, possibly on several at once, after
// the answer (or its absence) is known; it must not block. Observers that ctx
// carries already are called too, after this one.
func WithObserver(ctx context.Context, observe func(Attempt)) context.Context {
	outer, _ := ctx.Value(observerKey{}).(func(Attempt))
	if outer == nil {
		return context.WithValue(ctx, observerKey{}, observe)
	}
	return context.WithValue(ctx, observerKey{}, func(a Attempt) {
		observe(a)
		outer(a)
	})
}

// WithRequestStart adds an observer of the start of single requests under ctx:
// together with WithObserver it shows how long each one took, and since when
// one has no answer. Only a Retry reports them; under a bucket without one the
// call itself is the request. It is called as WithObserver's is.
func WithRequestStart(ctx context.Context, begun func(Op)) context.Context {
	outer, _ := ctx.Value(requestStartKey{}).(func(Op))
	if outer == nil {
		return context.WithValue(ctx, requestStartKey{}, begun)
	}
	return context.WithValue(ctx, requestStartKey{}, func(op Op) {
		begun(op)
		outer(op)
	})
}

// reportRequestStart reports to the observers in ctx that a request is about to
// be sent.
func reportRequestStart(ctx context.Context, op Op) {
	if begun, _ := ctx.Value(requestStartKey{}).(func(Op)); begun != nil {
		begun(op)
	}
}

// WithCause sets the cause of the requests under ctx. The innermost has
// precedence.
func WithCause(ctx context.Context, cause Cause) context.Context {
	return context.WithValue(ctx, causeKey{}, cause)
}

// WithChecksum sets the CRC32C of the body that is put under ctx, where it is
// known: implementations that send it need not compute it.
func WithChecksum(ctx context.Context, crc32c uint32) context.Context {
	return context.WithValue(ctx, checksumKey{}, crc32c)
}

// ChecksumOf returns what WithChecksum has set.
func ChecksumOf(ctx context.Context) (crc32c uint32, ok bool) {
	crc32c, ok = ctx.Value(checksumKey{}).(uint32)
	return crc32c, ok
}

// CauseOf returns what WithCause has set, or "".
func CauseOf(ctx context.Context) Cause {
	cause, _ := ctx.Value(causeKey{}).(Cause)
	return cause
}

// Report reports an attempt to the observers in ctx; an empty Cause is taken
// from ctx. Implementations call it once per request sent.
func Report(ctx context.Context, a Attempt) {
	observe, _ := ctx.Value(observerKey{}).(func(Attempt))
	if observe == nil {
		return
	}
	if a.Cause == "" {
		a.Cause = CauseOf(ctx)
	}
	observe(a)
}

// withOnlyObserver returns a context whose attempts go to the given observer alone. The
// wrappers that lose answers use it: what the store has seen and what its
// client has seen are then two different things.
func withOnlyObserver(ctx context.Context, observe func(Attempt)) context.Context {
	return context.WithValue(ctx, observerKey{}, observe)
}
