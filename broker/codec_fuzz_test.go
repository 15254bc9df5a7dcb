package broker

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/zonewise/zonewise/test/framing"
)

// fuzzCodec unpacks whatever comes: within the bound, the same with a decoder
// that was used before, and if a library unpacks all of it, too, to the same.
func fuzzCodec(f *testing.F, codec int, library func(io.Reader) ([]byte, error)) {
	const most = 1 << 20
	for i := range 200 {
		if c := framing.Draw(1, i); c.Codec == codec && len(c.Body) < 3000 {
			f.Add(c.Body)
		}
	}
	cs := newCodecs()
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := Decompress(codec, in, most)
		if len(out) > most {
			t.Fatalf("%d bytes, of %d that were allowed", len(out), most)
		}
		if err != nil {
			return
		}
		r, done, err := cs.openReader(codec, in, most)
		if err != nil {
			t.Fatalf("it was unpacked, and by another decoder not: %v", err)
		}
		defer done()
		if again, err := io.ReadAll(r); err != nil || !bytes.Equal(out, again) {
			t.Fatalf("%d bytes, by another decoder %d, %v", len(out), len(again), err)
		}
		if other, err := library(bytes.NewReader(in)); err == nil && !bytes.HasPrefix(other, out) {
			t.Fatalf("%d bytes, by the library %d others", len(out), len(other))
		}
	})
}

func FuzzGzip(f *testing.F) {
	fuzzCodec(f, codecGzip, func(in io.Reader) ([]byte, error) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	})
}

func FuzzSnappy(f *testing.F) {
	fuzzCodec(f, codecSnappy, func(in io.Reader) ([]byte, error) {
		all, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		return s2.Decode(nil, all)
	})
}

func FuzzLZ4(f *testing.F) {
	fuzzCodec(f, codecLZ4, func(in io.Reader) ([]byte, error) { return io.ReadAll(lz4.NewReader(in)) })
}

func FuzzZstd(f *testing.F) {
	fuzzCodec(f, codecZstd, func(in io.Reader) ([]byte, error) {
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		return io.ReadAll(z)
	})
}
