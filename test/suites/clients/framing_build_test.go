//go:build clients

package clients

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/test/framing"
)

// framed is one way of compressing the records of a batch.
type framed struct {
	name  string
	codec int // number in a batch's attributes
	body  []byte
}

// framedPlain returns the records that every framing contains.
func framedPlain() (plain []byte) {
	for i := range framing.Records {
		r := kmsg.Record{OffsetDelta: int32(i), Value: framedValue(i)}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // a varint of one byte stands for 0
		plain = r.AppendTo(plain)
	}
	return plain
}

func framedValue(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "record %d, ", i), 300) }

// allFramings returns all tested framings.
func allFramings(t *testing.T) (all []framed) {
	plain := framedPlain()
	add := func(codec int, name string, body ...[]byte) {
		all = append(all, framed{framing.CodecName(codec) + ": " + name, codec, bytes.Join(body, nil)})
	}
	half := len(plain) / 2
	gzipFramings(t, plain, half, add)
	snappyFramings(plain, half, add)
	lz4Framings(t, plain, half, add)
	zstdFramings(t, plain, half, add)
	return all
}

type adder func(codec int, name string, body ...[]byte)

// withByteChanged returns in with the byte at an index changed; a negative index counts
// from the end.
func withByteChanged(in []byte, at int, to func(byte) byte) []byte {
	out := bytes.Clone(in)
	if at < 0 {
		at += len(out)
	}
	out[at] = to(out[at])
	return out
}

func flipBits(b byte) byte { return b ^ 0x55 }

func gzipFramings(t *testing.T, plain []byte, half int, add adder) {
	pack := func(in []byte, level int, header gzip.Header) []byte {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		w.Header = header
		if _, err := w.Write(in); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	member := pack(plain, gzip.DefaultCompression, gzip.Header{OS: 255})
	withCRC := func() []byte { // of the header, RFC 1952's FHCRC
		head := append(bytes.Clone(member[:10]), 0, 0)
		head[3] |= 2
		binary.LittleEndian.PutUint16(head[10:], uint16(crc32.ChecksumIEEE(head[:10])))
		return append(head, member[10:]...)
	}
	add(1, "a member", member)
	add(1, "stored", pack(plain, gzip.NoCompression, gzip.Header{}))
	add(1, "with name, comment and extra", pack(plain, 6, gzip.Header{Name: "n", Comment: "c", Extra: []byte("ab")}))
	add(1, "with a checksum of its header", withCRC())
	add(1, "with a wrong checksum of its header", withByteChanged(withCRC(), 10, flipBits))
	add(1, "two members", pack(plain[:half], 6, gzip.Header{}), pack(plain[half:], 6, gzip.Header{}))
	add(1, "an empty member first", pack(nil, 6, gzip.Header{}), member)
	add(1, "an empty member last", member, pack(nil, 6, gzip.Header{}))
	add(1, "zeros behind it", member, make([]byte, 32))
	add(1, "a byte behind it", member, []byte{7})
	add(1, "other bytes behind it", member, []byte("what is this, then, behind the member?"))
	add(1, "half a member behind it", member, member[:len(member)/2])
	add(1, "wrong checksum", withByteChanged(member, -8, flipBits))
	add(1, "wrong length", withByteChanged(member, -1, flipBits))
	add(1, "without its length", member[:len(member)-4])
	add(1, "without its trailer", member[:len(member)-8])
	add(1, "cut in the middle", member[:len(member)/2])
	add(1, "reserved flags", withByteChanged(member, 3, func(b byte) byte { return b | 0xe0 }))
	add(1, "another method", withByteChanged(member, 2, func(byte) byte { return 7 }))
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(plain) // to memory
	_ = w.Close()
	add(1, "zlib's format", z.Bytes())
	add(1, "nothing")
}

func snappyFramings(plain []byte, half int, add adder) {
	magic := []byte("\x82SNAPPY\x00")
	header := func(version, compatible byte) []byte {
		return append(bytes.Clone(magic), 0, 0, 0, version, 0, 0, 0, compatible)
	}
	block := func(in []byte) []byte {
		packed := s2.EncodeSnappy(nil, in)
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(packed))), packed...)
	}
	raw := s2.EncodeSnappy(nil, plain)
	add(2, "a raw block", raw)
	add(2, "Java's framing", header(1, 1), block(plain))
	add(2, "Java's framing, two blocks", header(1, 1), block(plain[:half]), block(plain[half:]))
	add(2, "Java's framing, an empty block first", header(1, 1), block(nil), block(plain))
	add(2, "Java's framing, a block of length 0", header(1, 1), []byte{0, 0, 0, 0}, block(plain))
	add(2, "Java's framing, a header in the middle", header(1, 1), block(plain[:half]), header(1, 1), block(plain[half:]))
	add(2, "Java's framing, version 2", header(2, 1), block(plain))
	add(2, "Java's framing, compatible with 2", header(2, 2), block(plain))
	add(2, "Java's framing, compatible with 0", header(0, 0), block(plain))
	add(2, "Java's framing, bytes behind it", header(1, 1), block(plain), []byte{1, 2})
	add(2, "Java's framing, half a block behind it", header(1, 1), block(plain), block(plain)[:20])
	add(2, "Java's framing, cut", header(1, 1), block(plain)[:40])
	add(2, "Java's framing, a negative length", header(1, 1), []byte{0xff, 0xff, 0xff, 0xf0}, block(plain))
	add(2, "Java's header alone", header(1, 1))
	add(2, "Java's header cut", magic)
	add(2, "S2's own operations", s2.EncodeBest(nil, plain))
	add(2, "S2's own operations in Java's framing", header(1, 1), binary.BigEndian.AppendUint32(nil, uint32(len(s2.EncodeBest(nil, plain)))), s2.EncodeBest(nil, plain))
	var stream bytes.Buffer
	w := s2.NewWriter(&stream, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
	_, _ = w.Write(plain) // to memory
	_ = w.Close()
	add(2, "the stream format", stream.Bytes())
	add(2, "cut", raw[:len(raw)-3])
	add(2, "bytes behind it", raw, []byte{1, 2, 3})
	add(2, "a length that is too large", binary.AppendUvarint(nil, uint64(len(plain))+7), raw[2:])
	add(2, "nothing")
}

func lz4Framings(t *testing.T, plain []byte, half int, add adder) {
	pack := func(in []byte, options ...lz4.Option) []byte {
		var b bytes.Buffer
		w := lz4.NewWriter(&b)
		if err := w.Apply(options...); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(in); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	frame := pack(plain, lz4.BlockSizeOption(lz4.Block64Kb))
	skippable := append(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0x184D2A53), 3), 1, 2, 3)
	add(3, "a frame", frame)
	add(3, "blocks of 4 MiB", pack(plain, lz4.BlockSizeOption(lz4.Block4Mb)))
	add(3, "all checksums and the size", pack(plain, lz4.ChecksumOption(true), lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(plain)))))
	add(3, "no checksum", pack(plain, lz4.ChecksumOption(false)))
	add(3, "a wrong checksum of the header", withByteChanged(frame, 6, flipBits))
	add(3, "a wrong checksum of the content", withByteChanged(pack(plain, lz4.ChecksumOption(true)), -1, flipBits))
	add(3, "a wrong checksum of a block", withByteChanged(pack(plain, lz4.ChecksumOption(false), lz4.BlockChecksumOption(true)), -5, flipBits))
	add(3, "without its end", pack(plain, lz4.ChecksumOption(false))[:len(pack(plain, lz4.ChecksumOption(false)))-4])
	add(3, "two frames", pack(plain[:half]), pack(plain[half:]))
	add(3, "the frame twice", frame, frame)
	add(3, "bytes behind it", frame, []byte{1, 2, 3})
	add(3, "a skippable frame first", skippable, frame)
	add(3, "a skippable frame last", frame, skippable)
	add(3, "an empty frame first", pack(nil), frame)
	add(3, "nothing")
}

func zstdFramings(t *testing.T, plain []byte, half int, add adder) {
	pack := func(in []byte, options ...zstd.EOption) []byte {
		e, err := zstd.NewWriter(nil, options...)
		if err != nil {
			t.Fatal(err)
		}
		return e.EncodeAll(in, nil)
	}
	stream := func(in []byte) []byte { // without the content size
		var b bytes.Buffer
		e, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range [][]byte{in[:half/2], in[half/2:]} {
			if _, err := e.Write(part); err != nil {
				t.Fatal(err)
			}
			if err := e.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	// window is a frame with one raw block that requires the given window.
	window := func(descriptor byte) []byte {
		out := append(binary.LittleEndian.AppendUint32(nil, 0xFD2FB528), 0, descriptor)
		size := uint32(len(plain))<<3 | 1
		out = append(out, byte(size), byte(size>>8), byte(size>>16))
		return append(out, plain...)
	}
	frame := pack(plain)
	skippable := append(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0x184D2A53), 3), 1, 2, 3)
	add(4, "a frame", frame)
	add(4, "without checksum", pack(plain, zstd.WithEncoderCRC(false)))
	add(4, "without the size of its content", stream(plain))
	add(4, "two frames", pack(plain[:half]), pack(plain[half:]))
	add(4, "an empty frame first", pack(nil, zstd.WithZeroFrames(true)), frame)
	add(4, "an empty frame last", frame, pack(nil, zstd.WithZeroFrames(true)))
	add(4, "a skippable frame first", skippable, frame)
	add(4, "a skippable frame last", frame, skippable)
	add(4, "bytes behind it", frame, []byte{1, 2, 3, 4, 5})
	add(4, "a wrong checksum", withByteChanged(frame, -1, flipBits))
	add(4, "cut", frame[:len(frame)-6])
	add(4, "a window of 8 MiB", window(13<<3))
	add(4, "a window of 128 MiB", window(17<<3))
	add(4, "a window of 256 MiB", window(18<<3))
	add(4, "a window of 2 GiB", window(21<<3))
	add(4, "another magic", withByteChanged(frame, 0, flipBits))
	add(4, "a reserved bit", withByteChanged(frame, 4, func(b byte) byte { return b | 8 }))
	add(4, "nothing")
}
