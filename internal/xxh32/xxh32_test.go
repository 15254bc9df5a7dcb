package xxh32

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// The library writes the hash of what it packs behind its frame.
func TestSumIsThatOfTheLibrary(t *testing.T) {
	in := make([]byte, 0, 100)
	for n := range 100 {
		var b bytes.Buffer
		w := lz4.NewWriter(&b)
		if err := w.Apply(lz4.ChecksumOption(true), lz4.BlockSizeOption(lz4.Block64Kb)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(in); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := binary.LittleEndian.Uint32(b.Bytes()[b.Len()-4:]); Sum(in) != want {
			t.Errorf("of %d bytes: %08x, want %08x", n, Sum(in), want)
		}
		var d Digest
		for rest := in; len(rest) > 0; { // pieces of 1, 8, 15, 22 bytes
			k := min(1+7*(len(rest)%4), len(rest))
			d.Write(rest[:k])
			rest = rest[k:]
		}
		if d.Sum() != Sum(in) {
			t.Errorf("of %d bytes in pieces: %08x, want %08x", n, d.Sum(), Sum(in))
		}
		in = append(in, byte(n*37))
	}
}

func BenchmarkSum(b *testing.B) {
	in := make([]byte, 64<<10)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		Sum(in)
	}
}
