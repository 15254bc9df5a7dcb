package broker

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// gzipReader unpacks gzip as Java's GZIPInputStream does, which decides what a
// broker of Kafka takes: members follow one another, what behind a member does
// not begin another one is passed over, and reserved flags mean nothing.
type gzipReader struct {
	z   gzip.Reader
	src gzipSource
}

// gzipIgnored is how many bytes behind a member Java does not look at: it wants
// more than a header and a trailer.
const gzipIgnored = 18

// reset begins with the first member, which must be one.
func (g *gzipReader) reset(in []byte) error {
	g.src = gzipSource{in: in}
	return g.begin()
}

// begin begins with the member that comes next.
func (g *gzipReader) begin() error {
	g.src.flags = g.src.at + 3
	if err := g.z.Reset(&g.src); err != nil {
		return fmt.Errorf("open gzip: %w", err)
	}
	g.z.Multistream(false)
	return nil
}

// Read implements io.Reader.
func (g *gzipReader) Read(p []byte) (int, error) {
	for {
		n, err := g.z.Read(p)
		if err != io.EOF {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if g.src.left() <= gzipIgnored || g.begin() != nil {
			return 0, io.EOF
		}
	}
}

// gzipSource is packed bytes, without the flags that RFC 1952 reserves in byte 3
// of a member. Nothing is copied however many members there are.
type gzipSource struct {
	in    []byte
	at    int
	flags int // where the flags of the present member are
}

const gzipReserved = 0xe0

func (s *gzipSource) left() int { return len(s.in) - s.at }

// Read implements io.Reader.
func (s *gzipSource) Read(p []byte) (int, error) {
	if s.at == len(s.in) {
		return 0, io.EOF
	}
	n := copy(p, s.in[s.at:])
	if k := s.flags - s.at; k >= 0 && k < n {
		p[k] &^= gzipReserved
	}
	s.at += n
	return n, nil
}

// ReadByte implements io.ByteReader: with it the decoder reads no further than a
// member's end.
func (s *gzipSource) ReadByte() (byte, error) {
	if s.at == len(s.in) {
		return 0, io.EOF
	}
	b := s.in[s.at]
	if s.at == s.flags {
		b &^= gzipReserved
	}
	s.at++
	return b, nil
}
