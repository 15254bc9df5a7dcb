package binread

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

var errBad = errors.New("bad input")

func TestReaderReadsEveryField(t *testing.T) {
	b := []byte{7, 0x01, 0x02, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4}
	b = binary.AppendUvarint(b, 300)
	b = binary.AppendVarint(b, -300)
	b = append(b, 2, 'h', 'i', 1, 'x', 1, 3, 0, 0, 0)
	r := New(b, 0, errBad)
	got := []any{r.Uint8(), r.Uint16(), r.Uint32(), r.Uint64(), r.UvarintUpTo(300, "number"), r.Varint(), r.Text(), string(r.Bytes()), r.Flag(), r.Count(1, "items")}
	want := []any{uint8(7), uint16(0x102), uint32(3), uint64(4), uint64(300), int64(-300), "hi", "x", true, 3}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("field %d is %v, want %v", i, got[i], want[i])
		}
	}
	if r.Remaining() != 3 || r.Position() != len(b)-3 || len(r.Take(3)) != 3 || r.ExpectEnd() != nil {
		t.Errorf("%d bytes left at %d: %v", r.Remaining(), r.Position(), r.Err())
	}
}

func TestFirstErrorIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		read func(*Reader)
		want string
	}{
		"short":     {[]byte{1, 2}, func(r *Reader) { r.Uint32() }, "at byte 0: want 4 bytes, 2 left"},
		"negative":  {[]byte{1, 2}, func(r *Reader) { r.Take(-1) }, "at byte 0: want -1 bytes"},
		"varint":    {[]byte{1, 0x80}, func(r *Reader) { r.Uint8(); r.Uvarint() }, "at byte 1: invalid varint"},
		"signed":    {[]byte{0x80}, func(r *Reader) { r.Varint() }, "invalid varint"},
		"maximum":   {[]byte{9}, func(r *Reader) { r.UvarintUpTo(8, "lane") }, "lane 9, at most 8"},
		"count":     {[]byte{2, 0, 0, 0}, func(r *Reader) { r.Count(2, "runs") }, "runs: 2 elements in 3 bytes"},
		"text":      {[]byte{5, 'a'}, func(r *Reader) { _ = r.Text() }, "text: 5 elements in 1 bytes"},
		"flag":      {[]byte{2}, func(r *Reader) { r.Flag() }, "invalid flag 2"},
		"left over": {[]byte{2}, func(r *Reader) { _ = r.ExpectEnd() }, "at byte 0: 1 trailing bytes"},
	} {
		r := New(c.b, 0, errBad)
		c.read(&r)
		err := r.Err()
		if !errors.Is(err, errBad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		r.Fail("another")
		if r.Uint8() != 0 || r.Uvarint() != 0 || r.Varint() != 0 || r.Take(0) != nil || r.ExpectEnd() != err {
			t.Errorf("%s: the reader went on after its error", name)
		}
	}
}
