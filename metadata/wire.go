package metadata

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/zonewise/zonewise/internal/binread"
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

// reader reads what writer wrote. Its errors wrap ErrCorrupt.
type reader struct{ binread.Reader }

// newReader returns a reader of b from byte at on.
func newReader(b []byte, at int) reader { return reader{binread.New(b, at, ErrCorrupt)} }

func (r *reader) readTextMap() map[string]string {
	n := r.Count(2, "texts")
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := r.Text()
		m[k] = r.Text()
	}
	return m
}

func (r *reader) readTopicID() (t TopicID) {
	copy(t[:], r.Take(len(t)))
	return t
}

func (w *writer) writeTextList(s []string) {
	w.uvarint(uint64(len(s)))
	for _, t := range s {
		w.text(t)
	}
}

func (r *reader) readTextList() (out []string) {
	for range r.Count(1, "list") {
		out = append(out, r.Text())
	}
	return out
}

func (w *writer) writeTopicPartitions(list []TopicPartition) {
	w.uvarint(uint64(len(list)))
	for _, tp := range list {
		w.raw(tp.Topic[:])
		w.uvarint(uint64(uint32(tp.Partition)))
	}
}

func (r *reader) readTopicPartitions() (out []TopicPartition) {
	for range r.Count(17, "partitions") {
		out = append(out, TopicPartition{r.readTopicID(), Partition(r.UvarintUpTo(1<<31-1, "partition"))})
	}
	return out
}
