package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// gzipReader decompresses gzip (RFC 1952) as Java's GZIPInputStream does, which
// decides what a Kafka broker accepts: there may be several members, bytes after a
// member that do not start another one are ignored, so are reserved flags, and names
// and comments have any length.
//
//	+--------+----+-----+-------+----------+---------+------+---------+--------+---------+-------+--------+
//	| magic  | CM | FLG | mtime | XFL, OS  | [extra] | [name| [comment| [CRC16 | deflate | CRC32 | length |
//	| 1f, 8b | 8  | u8  | u32   | u8, u8   | u16, .. | ...0]| ... 0]  | LE]    |         | LE    | LE     |
//	+--------+----+-----+-------+----------+---------+------+---------+--------+---------+-------+--------+
type gzipReader struct {
	in     []byte
	src    bytes.Reader // reads in: flate reads no further than a member's end
	flate  io.ReadCloser
	filled int    // how much of in Java would have buffered by now
	crc    uint32 // of the member's decompressed bytes
	size   uint32
}

const (
	gzipHeaderCRC = 1 << 1
	gzipExtra     = 1 << 2
	gzipName      = 1 << 3
	gzipComment   = 1 << 4

	gzipHeaderBytes  = 10 // at least
	gzipTrailerBytes = 8
	gzipFill         = 8 << 10 // GzipCompression's buffer (Kafka 4.4)
)

var (
	errGzipHeader  = errors.New("gzip: invalid header")
	errGzipTrailer = errors.New("gzip: checksum or length of a member is wrong")
)

// reset starts with the first member, which must be valid.
func (g *gzipReader) reset(in []byte) error {
	g.in = in
	g.src.Reset(in)
	if g.flate == nil {
		g.flate = flate.NewReader(&g.src)
	}
	n, err := gzipHeader(in)
	if err != nil {
		return fmt.Errorf("open gzip: %w", err)
	}
	g.filled = n
	return g.openMember(n)
}

// release drops the references to the bytes.
func (g *gzipReader) release() {
	g.in = nil
	g.src.Reset(nil)
}

// openMember starts to decompress at an index of in.
func (g *gzipReader) openMember(at int) error {
	g.crc, g.size = 0, 0
	g.src.Reset(g.in[at:])
	return g.flate.(flate.Resetter).Reset(&g.src, nil)
}

// Read implements io.Reader.
func (g *gzipReader) Read(p []byte) (int, error) {
	for {
		n, err := g.flate.Read(p)
		g.crc, g.size = crc32.Update(g.crc, crc32.IEEETable, p[:n]), g.size+uint32(n)
		switch {
		case err != nil && err != io.EOF:
			return n, fmt.Errorf("gzip: %w", err)
		case n > 0 || err == nil:
			return n, nil // flate returns EOF again
		}
		if err := g.next(); err != nil {
			return 0, err
		}
	}
}

// next checks the trailer and starts the next member; io.EOF if there is none.
func (g *gzipReader) next() error {
	end := len(g.in) - g.src.Len()
	at := end + gzipTrailerBytes
	if at > len(g.in) {
		return fmt.Errorf("gzip: %w", io.ErrUnexpectedEOF)
	}
	if binary.LittleEndian.Uint32(g.in[end:]) != g.crc || binary.LittleEndian.Uint32(g.in[end+4:]) != g.size {
		return errGzipTrailer
	}
	if !g.more(end) {
		return io.EOF
	}
	n, err := gzipHeader(g.in[at:])
	if err != nil {
		return io.EOF // trailing bytes that are not a member are ignored
	}
	g.filled = max(g.filled, at+n)
	return g.openMember(at + n)
}

// more reports whether Java (17, GZIPInputStream.readTrailer) tries to read another
// member after the deflated bytes that end at end. It does if its source has bytes
// that are not buffered yet, or if the buffered ones are more than a trailer, a
// header and a trailer.
func (g *gzipReader) more(end int) bool {
	for g.filled < end {
		g.filled = min(g.filled+gzipFill, len(g.in))
	}
	return max(g.filled, end+gzipTrailerBytes) < len(g.in) || g.filled-end > gzipTrailerBytes+gzipHeaderBytes+gzipTrailerBytes
}

// gzipHeader returns the length of the header at the start of in.
func gzipHeader(in []byte) (int, error) {
	if len(in) < gzipHeaderBytes || in[0] != 0x1f || in[1] != 0x8b || in[2] != 8 {
		return 0, errGzipHeader
	}
	flags, at := in[3], gzipHeaderBytes
	if flags&gzipExtra != 0 {
		if at+2 > len(in) {
			return 0, errGzipHeader
		}
		at += 2 + int(binary.LittleEndian.Uint16(in[at:]))
	}
	for _, text := range [...]byte{gzipName, gzipComment} {
		if flags&text == 0 {
			continue
		}
		if at > len(in) {
			return 0, errGzipHeader
		}
		n := bytes.IndexByte(in[at:], 0)
		if n < 0 {
			return 0, errGzipHeader
		}
		at += n + 1
	}
	if flags&gzipHeaderCRC != 0 {
		if at+2 > len(in) || binary.LittleEndian.Uint16(in[at:]) != uint16(crc32.ChecksumIEEE(in[:at])) {
			return 0, errGzipHeader
		}
		at += 2
	}
	if at > len(in) {
		return 0, errGzipHeader
	}
	return at, nil
}
