package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Limits. They are S3's or tighter, so that what one implementation takes
// every other one takes too.
const (
	// MaxName is S3's limit for a key, in bytes.
	MaxName = 1024
	// MaxSegment bounds the text between two '/' in a name, in bytes: the
	// length of a file name in the usual file systems, for Dir and for
	// gateways that store objects as files.
	MaxSegment = 255
	// MaxBody bounds one object, in bytes: bodies are whole in memory on both
	// sides, and the largest thing written (a segment) is far below.
	MaxBody = 1 << 30
	// PageNames is how many names one list or one delete request carries: S3's limit.
	PageNames = 1000
)

// Info is one line of a listing.
type Info struct {
	Name     string
	Size     int64 // bytes
	Modified int64 // unix ms, by the store's clock
}

// Bucket stores immutable objects by name.
//
// Names are relative, of segments divided by '/': see CheckName. No name may be
// a folder of another one ("a" and "a/b"): stores that keep objects as files
// cannot hold both.
//
// Errors wrap one of ErrNotFound, ErrExists, ErrRange, ErrDenied, ErrBusy, or
// the context's own error. After ErrBusy or the context's error the outcome of
// a Put is unknown: it may have landed, and may still land later.
type Bucket interface {
	// Put stores an object once, durably. ErrExists when one of that name is
	// there already, whatever its bytes. (A Retry, hence s3.Open, compares when
	// an earlier attempt of the same call may have landed: then equal bytes are
	// success.) The body is not touched by anyone after Put has returned, also
	// not when it returned an error, so the caller may use its buffer again.
	Put(ctx context.Context, name string, body []byte) error
	// Get returns length bytes from offset off, fewer where the object ends
	// before; length < 0 means up to the end. off < 0 means the last -off bytes
	// (of a shorter object, the whole); length is then ignored. length 0 with
	// off >= 0 returns nothing without a request. ErrNotFound when the object is
	// absent, ErrRange when off is at or behind the end of an object that is not
	// being read whole. The bytes belong to the caller.
	Get(ctx context.Context, name string, off, length int64) ([]byte, error)
	// List returns what has the prefix and sorts after `after`, in byte order of
	// names, at most limit of them; limit <= 0 means all.
	List(ctx context.Context, prefix, after string, limit int) ([]Info, error)
	// Delete removes objects. It returns the names whose deletion is confirmed, in
	// the order given; an absent one is confirmed. err is nil if all are. Partial
	// success is normal: err is then a *DeleteError with a failure for each other
	// name. After any other error none is confirmed. What is not confirmed may be
	// gone all the same: the same call may be made again.
	Delete(ctx context.Context, names ...string) (deleted []string, err error)
}

var (
	// ErrNotFound: there is no object of that name (404).
	ErrNotFound = fmt.Errorf("object not found: %w", fs.ErrNotExist)
	// ErrExists: an object of that name is there already (412).
	ErrExists = errors.New("object already exists")
	// ErrRange: no byte of the requested range is in the object (416).
	ErrRange = errors.New("range is outside the object")
	// ErrDenied: the store refused us (401, 403, or credentials that are absent
	// or expired). Trying again does not help; an operator must act.
	ErrDenied = errors.New("access denied")
	// ErrBusy: the store did not respond, or responded with an error of its
	// own (409, 429, 5xx, timeout). The same call may be made again.
	ErrBusy = errors.New("store is busy or unavailable")
)

// opError names the request and the object in an error.
func opError(op Op, name string, err error) error {
	return fmt.Errorf("%s %q: %w", op, name, err)
}

// checkBody enforces MaxBody.
func checkBody(name string, body []byte) error {
	if int64(len(body)) > MaxBody {
		return opError(OpPut, name, fmt.Errorf("BUG: body of %d bytes is over the limit of %d", len(body), int64(MaxBody)))
	}
	return nil
}

// resolveRange turns the off and length of a Get into the half-open range of bytes
// [from, to) of an object of this size; ok is false where S3 would answer 416.
func resolveRange(size, off, length int64) (from, to int64, ok bool) {
	if off < 0 {
		return max(0, size+max(off, -size)), size, true
	}
	if off == 0 && length < 0 {
		return 0, size, true
	}
	if off >= size {
		return 0, 0, false
	}
	if length < 0 || length > size-off {
		return off, size, true
	}
	return off, off + length, true
}
