package broker

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// gzipReader unpacks gzip as Java's GZIPInputStream does, which decides what a
// broker of Kafka takes: members follow one another, what behind a member does
// not begin another one is passed over, and reserved flags mean nothing.
type gzipReader struct {
	z    gzip.Reader
	rest bytes.Reader
}

// gzipIgnored is how many bytes behind a member Java does not look at: it wants
// more than a header and a trailer.
const gzipIgnored = 18

// gzipReserved are the flags that RFC 1952 reserves, in byte 3 of a member.
const gzipReserved = 0xe0

// reset begins with the first member, which must be one.
func (g *gzipReader) reset(in []byte) error {
	if len(in) > 3 && in[3]&gzipReserved != 0 {
		in = bytes.Clone(in)
		in[3] &^= gzipReserved
	}
	g.rest.Reset(in)
	if err := g.z.Reset(&g.rest); err != nil {
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
		behind := make([]byte, g.rest.Len())
		_, _ = g.rest.Read(behind) // from memory
		if len(behind) <= gzipIgnored || g.reset(behind) != nil {
			return 0, io.EOF
		}
	}
}
