package s3stream

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt: stored bytes are not what was written, or are gone although
	// the state refers to them. From a Store every such error is a *CorruptError.
	ErrCorrupt = errors.New("stored bytes are corrupt")
	// ErrVersion: the object was written by a later version of this program.
	// Not damage: upgrade this broker.
	ErrVersion = errors.New("unknown version of the object format")
	// ErrUnavailable: the bucket did not respond properly; the same call
	// may be made again.
	ErrUnavailable = errors.New("bucket is unavailable")
	// ErrTrimmed: the state no longer has the offset: it is below the log start,
	// or the partition was deleted. Nothing is damaged.
	ErrTrimmed = errors.New("the offset was deleted")
)

// CorruptError names the damaged object and what is wrong with it.
type CorruptError struct {
	Object string // key below "<cluster>/"; of inline bytes, the archive's, or "" for the log in memory
	Detail string
}

// Error implements error; it names the command that inspects the object.
func (e *CorruptError) Error() string {
	if e.Object == "" {
		return fmt.Sprintf("%v: %s; inspect with `zonewise dump log`", ErrCorrupt, e.Detail)
	}
	return fmt.Sprintf("%v: object %s: %s; inspect with `zonewise dump object %s`", ErrCorrupt, e.Object, e.Detail, e.Object)
}

// Unwrap makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
