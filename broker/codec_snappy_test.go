package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// Java packs snappy in blocks of 32 KiB: what a batch unpacks to is walked block
// by block. It was put together first, up to 128 MiB for each connection.
func TestFramedSnappyIsNotHeldUnpacked(t *testing.T) {
	values := make([]string, 64)
	for i := range values {
		values[i] = strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	}
	batch := packed(codecSnappy, values...)
	cs := newCodecs()
	rules := testRules()
	rules.maxBytes, rules.segmentBytes = len(batch), len(batch)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err := cs.checkBatch(batch, 9, 5000, rules); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 { // a record is held, as it grows
		t.Errorf("64 MiB unpacked took %d KiB of memory", took>>10)
	}
}

func TestSnappyIsReadInEitherFraming(t *testing.T) {
	plain := []byte(strings.Repeat("some text, ", 10_000))
	var framed bytes.Buffer
	if err := compressRecords(&framed, codecSnappy, 0, bytes.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	raw := s2.EncodeSnappy(nil, plain)
	lie := append([]byte{0xff, 0xff, 0xff, 0x07}, raw[3:]...) // 16 MiB from a few KiB
	// S2's own operation repeats an offset; it is a short copy of offset 0.
	repeat := append(binary.AppendUvarint(nil, 13), 0, 'x', 2|7<<2, 1, 0, 1, 0)
	header := func(magic string, version byte) []byte {
		return append([]byte(magic), 0, 0, 0, version, 0, 0, 0, 1)
	}
	behind := func(more []byte) []byte { return append(bytes.Clone(framed.Bytes()), more...) }
	for _, c := range []struct {
		name string
		in   []byte
		max  int
		want error
	}{
		{"an operation of S2's", repeat, len(plain), snappy.ErrCorrupt},
		{"framed, a header of version 0 behind it", behind(header(xerialHeader, 0)), len(plain), errors.ErrUnsupported},
		{"framed, a header of version 2 behind it", behind(header(xerialHeader, 2)), len(plain), nil},
		{"framed, another header behind it", behind(header("\x82SNAPPX\x00", 1)), len(plain), nil},
		{"framed, a header cut short behind it", behind(header(xerialHeader, 1)[:15]), len(plain), io.ErrUnexpectedEOF},
		{"framed, half of its magic behind it", behind(header(xerialHeader, 1)[:3]), len(plain), nil},
		{"framed", framed.Bytes(), len(plain), nil},
		{"raw", raw, len(plain), nil},
		{"framed, too large", framed.Bytes(), len(plain) - 1, errInflatedTooLarge},
		{"raw, too large", raw, len(plain) - 1, errInflatedTooLarge},
		{"a length that lies", lie, MaxInflatedBytes, errInflatedTooLarge},
		{"framed, cut short", framed.Bytes()[:framed.Len()-1], len(plain), io.ErrUnexpectedEOF},
		{"framed, two bytes behind it", append(bytes.Clone(framed.Bytes()), 1, 2), len(plain), nil},
		{"framed, a second header behind it", append(bytes.Clone(framed.Bytes()), framed.Bytes()[:16]...), len(plain), nil},
		{"framed, half a block behind it", append(bytes.Clone(framed.Bytes()), framed.Bytes()[16:40]...), len(plain), io.ErrUnexpectedEOF},
		{"nothing", nil, len(plain), io.ErrUnexpectedEOF},
	} {
		out, err := Decompress(codecSnappy, c.in, c.max)
		switch {
		case c.want == nil && (err != nil || !bytes.Equal(out, plain)):
			t.Errorf("%s: %d bytes, %v", c.name, len(out), err)
		case c.want == errInflatedTooLarge && !errors.Is(err, errInflatedTooLarge), c.want != nil && err == nil:
			t.Errorf("%s: %d bytes, %v", c.name, len(out), err)
		}
	}
}
