package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"

	"github.com/zonewise/zonewise/internal/xxh32"
	"github.com/zonewise/zonewise/metadata"
)

func lz4Of(t testing.TB, plain []byte, options ...lz4.Option) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(options...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What Java's reader cannot read is refused (docs/bugs.md): a consumer would stop
// at it for ever.
func TestLZ4IsTakenAsJavaReadsIt(t *testing.T) {
	plain := []byte(strings.Repeat("some text, ", 30_000))
	frame := lz4Of(t, plain, lz4.BlockSizeOption(lz4.Block64Kb))
	with := func(at int, value byte) []byte {
		out := bytes.Clone(frame)
		out[at] = value
		return out
	}
	sealed := lz4Of(t, plain, lz4.ChecksumOption(true), lz4.SizeOption(uint64(len(plain))))
	sum, size := bytes.Clone(sealed), bytes.Clone(sealed)
	sum[len(sum)-1]++
	size[6]++
	size[14] = byte(xxh32.Sum(size[4:14]) >> 8)
	descriptor := bytes.Clone(frame)
	descriptor[6]++
	blocks := func(blocks ...[]byte) []byte {
		out := append(bytes.Clone(lz4Of(t, nil, lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false))[:7]), bytes.Join(blocks, nil)...)
		return append(out, 0, 0, 0, 0)
	}
	whole, emptyPacked, emptyPlain := []byte{5, 0, 0, 0x80, 'p', 'l', 'a', 'i', 'n'}, []byte{1, 0, 0, 0, 0}, []byte{0, 0, 0, 0x80}
	skippable := binary.LittleEndian.AppendUint32(nil, 0x184D2A50)
	skippable = append(binary.LittleEndian.AppendUint32(skippable, 3), 1, 2, 3)
	legacy := binary.LittleEndian.AppendUint32(nil, 0x184C2102)
	for _, c := range []struct {
		name  string
		in    []byte
		taken bool
	}{
		{"a frame", frame, true},
		{"with all checksums and the size", lz4Of(t, plain, lz4.ChecksumOption(true), lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(plain)))), true},
		{"blocks that do not pack", lz4Of(t, []byte("x"), lz4.ChecksumOption(false)), true},
		{"linked blocks", with(4, frame[4]&^lz4Independent), false},
		{"a dictionary", with(4, frame[4]|1), false},
		{"another version", with(4, frame[4]&0x3f|2<<6), false},
		{"a block size that is not known", with(5, 3<<4), false},
		{"the legacy format", append(legacy, frame[7:]...), false},
		{"behind a skippable frame", append(skippable, frame...), false},
		{"a wrong checksum of the content", sum, false},
		{"a wrong size of the content", size, false},
		{"a wrong checksum of the descriptor", descriptor, false},
		{"an empty packed block last", blocks(whole, emptyPacked), true},
		{"an empty packed block", blocks(emptyPacked, whole), false},
		{"an empty plain block last", blocks(whole, emptyPlain), true},
		{"an empty plain block", blocks(emptyPlain, whole), false},
		{"a match at the end", blocks([]byte{4, 0, 0, 0, 0x10, 'x', 1, 0}), false},
		{"four literals behind a match", blocks([]byte{9, 0, 0, 0, 0x10, 'x', 1, 0, 0x40, 'x', 'x', 'x', 'x'}), false},
		{"five literals behind a match", blocks([]byte{10, 0, 0, 0, 0x10, 'x', 1, 0, 0x50, 'x', 'x', 'x', 'x', 'x'}), true},
		{"cut short", frame[:len(frame)-5], false},
		{"cut in its header", frame[:6], false},
		{"nothing", nil, false},
	} {
		_, err := Decompress(codecLZ4, c.in, len(plain)+1)
		if (err == nil) != c.taken {
			t.Errorf("%s: %v, want it taken: %v", c.name, err, c.taken)
		}
	}
	// Of two frames Java reads the first.
	two := append(bytes.Clone(frame), frame...)
	if out, err := Decompress(codecLZ4, two, 3*len(plain)); err != nil || !bytes.Equal(out, plain) {
		t.Errorf("two frames: %d bytes, %v; want those of the first", len(out), err)
	}
}

// A batch over the limit of what it may unpack to is told that limit.
func TestABatchThatUnpacksToTooMuchIsToldTheLimit(t *testing.T) {
	big := append(binary.AppendVarint(nil, MaxInflatedBytes+1000), make([]byte, MaxInflatedBytes+1000)...)
	batch := sealBatch(1000, -1, -1, codecLZ4, 1, lz4Of(t, big))
	_, _, bad := newCodecs().checkBatch(batch, 9, metadata.UnixMilli(1000), testRules())
	if bad == nil || !strings.Contains(bad.text, "134217728") {
		t.Fatalf("it was told %v, want the limit", bad)
	}
	if !errors.Is(errBatchTooLarge, errInflatedTooLarge) {
		t.Error("the limit's error is not errInflated")
	}
}
