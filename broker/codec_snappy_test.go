package broker

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
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
	if err := compress(&framed, codecSnappy, 0, bytes.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	raw := s2.EncodeSnappy(nil, plain)
	lie := append([]byte{0xff, 0xff, 0xff, 0x07}, raw[3:]...) // 16 MiB from a few KiB
	for _, c := range []struct {
		name string
		in   []byte
		max  int
		want error
	}{
		{"framed", framed.Bytes(), len(plain), nil},
		{"raw", raw, len(plain), nil},
		{"framed, too large", framed.Bytes(), len(plain) - 1, errInflated},
		{"raw, too large", raw, len(plain) - 1, errInflated},
		{"a length that lies", lie, MaxInflatedBytes, errInflated},
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
		case c.want == errInflated && !errors.Is(err, errInflated), c.want != nil && err == nil:
			t.Errorf("%s: %d bytes, %v", c.name, len(out), err)
		}
	}
}
