package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
)

// xerialHeader starts snappy in the framing of Java clients: a magic, a version and a
// compatible version, then blocks with a length each.
const (
	xerialHeader      = "\x82SNAPPY\x00"
	xerialHeaderBytes = 16 // with both versions
	xerialOldest      = 1  // oldest version that Java accepts
)

// snappyReader decompresses snappy in either framing, a block at a time.
type snappyReader struct {
	in        []byte // not decompressed yet
	framed    bool
	started   bool
	remaining int    // decompressed bytes still allowed
	block     []byte // memory of the last block
	out       []byte // of that, not read yet
}

// maxKeptBlock is the largest block whose memory is kept for the next batch; Java
// clients write 32 KiB.
const maxKeptBlock = 256 << 10

func (s *snappyReader) reset(in []byte, max int) {
	if cap(s.block) > maxKeptBlock {
		s.block = nil
	}
	*s = snappyReader{in: in, framed: hasXerialHeader(in), remaining: max, block: s.block}
}

// hasXerialHeader reports whether in starts with a header of Java's framing.
func hasXerialHeader(in []byte) bool {
	return len(in) >= xerialHeaderBytes && string(in[:len(xerialHeader)]) == xerialHeader
}

// Read implements io.Reader.
func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		over, err := s.atEnd()
		switch {
		case err != nil:
			return 0, fmt.Errorf("snappy: %w", err)
		case over:
			return 0, io.EOF
		}
		if err := s.decodeBlock(); err != nil {
			return 0, fmt.Errorf("snappy: %w", err)
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// atEnd skips headers, which Java also accepts between blocks, and reports whether no
// block is left. Bytes too short for a length are none, and neither is a header with
// another content. Java checks the version of every header except the first.
func (s *snappyReader) atEnd() (bool, error) {
	if !s.framed {
		return len(s.in) == 0 && s.started, nil
	}
	for len(s.in) >= 4 && string(s.in[:4]) == xerialHeader[:4] {
		switch {
		case !s.started: // reset found it
		case len(s.in) < xerialHeaderBytes:
			return false, errors.New("header cut short")
		case !hasXerialHeader(s.in):
			return true, nil
		case int32(binary.BigEndian.Uint32(s.in[len(xerialHeader):])) < xerialOldest:
			return false, errors.New("header of a version that is not known")
		}
		s.in, s.started = s.in[xerialHeaderBytes:], true
	}
	return len(s.in) < 4, nil
}

// decodeBlock decompresses a block.
func (s *snappyReader) decodeBlock() error {
	block := s.in
	s.in, s.started = nil, true
	if s.framed {
		if len(block) < 4 || int64(binary.BigEndian.Uint32(block)) > int64(len(block)-4) {
			return errors.New("block cut short")
		}
		end := 4 + int(binary.BigEndian.Uint32(block))
		block, s.in = block[4:end], block[end:]
	}
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return err
	}
	// The maximum compression ratio is about 1:64; a length that claims more is
	// wrong, and is not allocated.
	if n > s.remaining || n > 64*len(block)+64 {
		return errInflatedTooLarge
	}
	s.remaining -= n
	if n > cap(s.block) {
		s.block = make([]byte, n)
	}
	// s2.Decode is faster, but also accepts S2's own operations, which would block
	// Java and librdkafka forever.
	s.out, err = snappy.DecodeStrict(s.block[:n], block)
	return err
}
