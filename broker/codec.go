package broker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Kafka's compression codecs, as the attributes of a batch number them.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
	codecProducer = -1 // compression.type=producer: as it came
)

// errInflated: what is packed is larger than the caller allows.
var errInflated = errors.New("unpacks to more than is allowed")

// errBatchInflated tells a producer which limit its batch is over.
var errBatchInflated = fmt.Errorf("the batch %w: %d bytes", errInflated, MaxInflatedBytes)

// zstdWindow bounds the memory of a zstd decoder; Kafka's producers stay far
// below.
const zstdWindow = 128 << 20

// codecs keeps decoders for use again: a zstd decoder is dear to make.
type codecs struct {
	gzip, snappy, lz4, zstd, buffers sync.Pool
}

func newCodecs() *codecs { return &codecs{} }

// Decompress unpacks the records of a batch, at most max bytes of them. codec
// is the attributes' number; 0 returns in itself.
func Decompress(codec int, in []byte, max int) ([]byte, error) {
	if codec == codecNone {
		return in, nil
	}
	r, done, err := newCodecs().open(codec, in, max)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := io.ReadAll(io.LimitReader(r, int64(max)+1))
	if err != nil {
		return nil, fmt.Errorf("decompress codec %d: %w", codec, err)
	}
	if len(out) > max {
		return nil, fmt.Errorf("decompress codec %d: %w", codec, errInflated)
	}
	return out, nil
}

// open returns a reader of the unpacked bytes; done gives the decoder back.
func (cs *codecs) open(codec int, in []byte, max int) (r io.Reader, done func(), err error) {
	src := bytes.NewReader(in)
	switch codec {
	case codecGzip:
		z, _ := cs.gzip.Get().(*gzipReader)
		if z == nil {
			z = new(gzipReader)
		}
		if err := z.reset(in); err != nil {
			return nil, nil, err
		}
		return z, func() { z.src = gzipSource{}; cs.gzip.Put(z) }, nil
	case codecSnappy:
		z, _ := cs.snappy.Get().(*snappyReader)
		if z == nil {
			z = &snappyReader{}
		}
		z.reset(in, max)
		return z, func() { z.reset(nil, 0); cs.snappy.Put(z) }, nil
	case codecLZ4:
		frame, err := lz4Frame(in)
		if err != nil {
			return nil, nil, err
		}
		src.Reset(frame)
		z, _ := cs.lz4.Get().(*lz4.Reader)
		if z == nil {
			z = lz4.NewReader(src)
		} else {
			z.Reset(src)
		}
		return z, func() { cs.lz4.Put(z) }, nil
	case codecZstd:
		z, _ := cs.zstd.Get().(*zstd.Decoder)
		if z == nil {
			if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderLowmem(true)); err != nil {
				return nil, nil, fmt.Errorf("open zstd: %w", err)
			}
		}
		if err := z.Reset(src); err != nil {
			return nil, nil, fmt.Errorf("open zstd: %w", err)
		}
		return z, func() { cs.zstd.Put(z) }, nil
	}
	return nil, nil, fmt.Errorf("codec %d is not known", codec)
}

// xerialHeader begins snappy as Java clients write it: blocks with a length
// each, behind the magic, a version and a compatible version.
const (
	xerialHeader      = "\x82SNAPPY\x00"
	xerialHeaderBytes = 16 // with both versions
)

// snappyReader unpacks snappy in either framing, a block at a time.
type snappyReader struct {
	in     []byte // not unpacked yet
	framed bool
	begun  bool
	left   int    // bytes that it may still unpack to
	block  []byte // memory of the last block
	out    []byte // of that, not read yet
}

// keptBlock is the largest block whose memory is kept for the next batch; Java
// clients write 32 KiB.
const keptBlock = 256 << 10

func (s *snappyReader) reset(in []byte, max int) {
	if cap(s.block) > keptBlock {
		s.block = nil
	}
	*s = snappyReader{in: in, framed: beginsXerial(in), left: max, block: s.block}
}

// beginsXerial reports whether a header of Java's framing is next.
func beginsXerial(in []byte) bool {
	return len(in) >= xerialHeaderBytes && string(in[:len(xerialHeader)]) == xerialHeader
}

// Read implements io.Reader.
func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if s.over() {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, fmt.Errorf("snappy: %w", err)
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// over passes over headers, which Java takes between blocks, too, and reports
// whether no block is left: what is too short for a length is none.
func (s *snappyReader) over() bool {
	if !s.framed {
		return len(s.in) == 0 && s.begun
	}
	for beginsXerial(s.in) {
		s.in = s.in[xerialHeaderBytes:]
	}
	return len(s.in) < 4
}

// next unpacks a block.
func (s *snappyReader) next() error {
	block := s.in
	s.in, s.begun = nil, true
	if s.framed {
		if len(block) < 4 || int64(binary.BigEndian.Uint32(block)) > int64(len(block)-4) {
			return errors.New("block cut short")
		}
		end := 4 + int(binary.BigEndian.Uint32(block))
		block, s.in = block[4:end], block[end:]
	}
	n, err := s2.DecodedLen(block)
	if err != nil {
		return err
	}
	// No block packs tighter than 1:64 or so; a length that claims more is a
	// lie, and is not allocated.
	if n > s.left || n > 64*len(block)+64 {
		return errInflated
	}
	s.left -= n
	if n > cap(s.block) {
		s.block = make([]byte, n)
	}
	s.out, err = s2.Decode(s.block[:n], block)
	return err
}

// walk reads every record of a batch, unpacking as it goes.
func (cs *codecs) walk(in []byte, codec int, w *walk) *batchError {
	var err error
	if codec == codecNone {
		err = walkPlain(in, w)
	} else {
		err = cs.walkPacked(in, codec, w)
	}
	switch {
	case err != nil:
		return refuse(errInvalidRecord, "%v", err)
	case w.index != w.header.RecordCount:
		return refuse(errInvalidRecord, "%d records in a batch of %d", w.index, w.header.RecordCount)
	}
	return w.bad
}

func walkPlain(in []byte, w *walk) error {
	for len(in) > 0 {
		n, k := binary.Varint(in)
		if k <= 0 || n < 0 || n > int64(len(in)-k) {
			return fmt.Errorf("%w: length of record %d", errRecord, w.index)
		}
		if w.index >= w.header.RecordCount {
			return errors.New("bytes behind the last record")
		}
		if err := w.record(in[k : k+int(n)]); err != nil {
			return err
		}
		in = in[k+int(n):]
	}
	return nil
}

// walkBuffer is the window over unpacked bytes.
const walkBuffer = 32 << 10

// walkPacked unpacks all of a batch. None of it can be left out: Kafka's
// LogValidator (4.1, validateMessagesAndAssignOffsetsCompressed) walks the
// records of every compressed batch, too, for their timestamps, of which the
// greatest goes into the header, their offsets, their keys on compacted topics,
// and their number; what it skips are copies of keys and values.
func (cs *codecs) walkPacked(in []byte, codec int, w *walk) error {
	r, done, err := cs.open(codec, in, MaxInflatedBytes)
	if err != nil {
		return err
	}
	defer done()
	limited := &io.LimitedReader{R: r, N: MaxInflatedBytes + 1}
	b, _ := cs.buffers.Get().(*bufio.Reader)
	if b == nil {
		b = bufio.NewReaderSize(limited, walkBuffer)
	} else {
		b.Reset(limited)
	}
	defer func() { b.Reset(nil); cs.buffers.Put(b) }()
	var scratch []byte
	for {
		n, err := binary.ReadVarint(b)
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case limited.N <= 0 && err != nil || err == nil && n > limited.N+int64(b.Buffered()):
			return errBatchInflated
		case err != nil || n < 0:
			return fmt.Errorf("%w: length of record %d", errRecord, w.index)
		}
		if w.index >= w.header.RecordCount {
			return errors.New("bytes behind the last record")
		}
		record := scratch
		if n <= walkBuffer {
			record, err = b.Peek(int(n))
		} else {
			scratch, err = readRecord(b, scratch, int(n))
			record = scratch
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", w.index, err)
		}
		if err := w.record(record); err != nil {
			return err
		}
		if n <= walkBuffer {
			if _, err := b.Discard(int(n)); err != nil {
				return err
			}
		}
	}
	if limited.N <= 0 {
		return errBatchInflated
	}
	return nil
}

// readRecord reads n bytes, allocating as they come.
func readRecord(r io.Reader, scratch []byte, n int) ([]byte, error) {
	if n <= cap(scratch) {
		_, err := io.ReadFull(r, scratch[:n])
		return scratch[:n], err
	}
	scratch = scratch[:0]
	for len(scratch) < n {
		have := len(scratch)
		scratch = append(scratch, make([]byte, min(n-have, max(walkBuffer, have)))...)
		if _, err := io.ReadFull(r, scratch[have:]); err != nil {
			return scratch, err
		}
	}
	return scratch, nil
}
