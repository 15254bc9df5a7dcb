package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Errors of the decoders.
var (
	// ErrVersion: written by a later version of this program. Not damage.
	ErrVersion = errors.New("unknown version")
	// ErrCorrupt: not what any version wrote.
	ErrCorrupt = errors.New("corrupt")
)

// writer appends fields. Fixed-width numbers are big-endian, counts and small
// numbers are varints (unsigned LEB128, signed ones zig-zag).
type writer struct{ b []byte }

func (w *writer) u8(v uint8)       { w.b = append(w.b, v) }
func (w *writer) u16(v uint16)     { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *writer) u32(v uint32)     { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64)     { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *writer) uvarint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) varint(v int64)   { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) raw(b []byte)     { w.b = append(w.b, b...) }
func (w *writer) text(s string)    { w.uvarint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) blob(b []byte)    { w.uvarint(uint64(len(b))); w.b = append(w.b, b...) }
func (w *writer) flag(v bool) {
	if v {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

func (w *writer) writeTextMap(m map[string]string) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	w.uvarint(uint64(len(keys)))
	for _, k := range keys {
		w.text(k)
		w.text(m[k])
	}
}

// reader takes fields off the front. The first fault sticks; every later call
// returns zero, so that a decoder checks once at its end.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w at byte %d: %s", ErrCorrupt, r.at, fmt.Sprintf(format, args...))
	}
}

func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.at {
		r.fail("want %d bytes, %d left", n, len(r.b)-r.at)
		return nil
	}
	b := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.fail("invalid varint")
		return 0
	}
	r.at += n
	return v
}

func (r *reader) varint() int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Varint(r.b[r.at:])
	if n <= 0 {
		r.fail("invalid varint")
		return 0
	}
	r.at += n
	return v
}

// uvarintUpTo reads a varint that may not exceed max.
func (r *reader) uvarintUpTo(max uint64, what string) uint64 {
	v := r.uvarint()
	if v > max {
		r.fail("%s %d, at most %d", what, v, max)
		return 0
	}
	return v
}

// readCount reads the number of elements that follow, each of least bytes or
// more, so that a damaged count cannot ask for more memory than the input has.
func (r *reader) readCount(least int, what string) int {
	v := r.uvarint()
	if v > uint64(len(r.b)-r.at)/uint64(max(least, 1)) {
		r.fail("%s: %d elements in %d bytes", what, v, len(r.b)-r.at)
		return 0
	}
	return int(v)
}

func (r *reader) text() string { return string(r.take(r.readCount(1, "text"))) }
func (r *reader) blob() []byte { return slices.Clone(r.take(r.readCount(1, "bytes"))) }

func (r *reader) flag() bool {
	v := r.u8()
	if v > 1 {
		r.fail("invalid flag %d", v)
	}
	return v == 1
}

func (r *reader) readTextMap() map[string]string {
	n := r.readCount(2, "texts")
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := r.text()
		m[k] = r.text()
	}
	return m
}

func (r *reader) readTopicID() (t TopicID) {
	copy(t[:], r.take(len(t)))
	return t
}

// expectEnd fails where bytes are left over.
func (r *reader) expectEnd() error {
	if r.err == nil && r.at != len(r.b) {
		r.fail("%d trailing bytes", len(r.b)-r.at)
	}
	return r.err
}
