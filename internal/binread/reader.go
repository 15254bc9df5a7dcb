// Package binread reads the fields of binary formats: big-endian numbers,
// varints, and byte strings with their length before them.
package binread

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Reader takes fields off the front of its input. The first error is kept, and
// every later call returns zero, so that a decoder checks once, at its end.
// The zero Reader has no input.
type Reader struct {
	b    []byte
	at   int
	err  error
	base error
}

// New returns a reader of b from byte at on. Its errors wrap base.
func New(b []byte, at int, base error) Reader { return Reader{b: b, at: at, base: base} }

// Err returns the first error; nil where there was none.
func (r *Reader) Err() error { return r.err }

// Position returns the index of the next byte of the input.
func (r *Reader) Position() int { return r.at }

// Remaining returns how many bytes are not read yet.
func (r *Reader) Remaining() int { return len(r.b) - r.at }

// Fail records an error at the present position, unless there is one already.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w at byte %d: %s", r.base, r.at, fmt.Sprintf(format, args...))
	}
}

// Take returns the next n bytes: a slice of the input, of capacity n.
func (r *Reader) Take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.at {
		r.Fail("want %d bytes, %d left", n, len(r.b)-r.at)
		return nil
	}
	b := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

// Uint8 reads one byte.
func (r *Reader) Uint8() uint8 {
	if b := r.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint16 reads two bytes, big-endian.
func (r *Reader) Uint16() uint16 {
	if b := r.Take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads four bytes, big-endian.
func (r *Reader) Uint32() uint32 {
	if b := r.Take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads eight bytes, big-endian.
func (r *Reader) Uint64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Uvarint reads an unsigned varint (LEB128).
func (r *Reader) Uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.Fail("invalid varint")
		return 0
	}
	r.at += n
	return v
}

// Varint reads a signed varint (zig-zag).
func (r *Reader) Varint() int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Varint(r.b[r.at:])
	if n <= 0 {
		r.Fail("invalid varint")
		return 0
	}
	r.at += n
	return v
}

// UvarintUpTo reads an unsigned varint that may not exceed max; what names the
// field in the error.
func (r *Reader) UvarintUpTo(max uint64, what string) uint64 {
	v := r.Uvarint()
	if v > max {
		r.Fail("%s %d, at most %d", what, v, max)
		return 0
	}
	return v
}

// Count reads the number of elements that follow, each of least bytes or more,
// so that a damaged count cannot ask for more memory than the input has.
func (r *Reader) Count(least int, what string) int {
	v := r.Uvarint()
	if v > uint64(len(r.b)-r.at)/uint64(max(least, 1)) {
		r.Fail("%s: %d elements in %d bytes", what, v, len(r.b)-r.at)
		return 0
	}
	return int(v)
}

// Text reads a string and the varint length before it.
func (r *Reader) Text() string { return string(r.Take(r.Count(1, "text"))) }

// Bytes reads a byte string and the varint length before it; the result is a
// copy.
func (r *Reader) Bytes() []byte { return slices.Clone(r.Take(r.Count(1, "bytes"))) }

// Flag reads one byte that is 0 or 1.
func (r *Reader) Flag() bool {
	v := r.Uint8()
	if v > 1 {
		r.Fail("invalid flag %d", v)
	}
	return v == 1
}

// ExpectEnd returns the first error, which is also that bytes are left over.
func (r *Reader) ExpectEnd() error {
	if r.err == nil && r.at != len(r.b) {
		r.Fail("%d trailing bytes", len(r.b)-r.at)
	}
	return r.err
}
