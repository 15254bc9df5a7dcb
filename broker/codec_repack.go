package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// repack recompresses a batch if the topic's compression.type is not the batch's.
// The records stream from one codec to the other: the decompressed records are
// never in memory as a whole, and the result has at most max.message.bytes.
func (cs *codecs) repack(batch []byte, h metadata.BatchHeader, codec int, rules *batchRules) ([]byte, metadata.BatchHeader, *batchError) {
	if rules.codec == codecProducer || rules.codec == codec {
		return batch, h, nil
	}
	var plain io.Reader = bytes.NewReader(batch[metadata.BatchHeaderSize:])
	if codec != codecNone {
		r, done, err := cs.openReader(codec, batch[metadata.BatchHeaderSize:], MaxInflatedBytes)
		if err != nil {
			return nil, h, refuseBatch(kerr.InvalidRecord.Code, "%v", err)
		}
		defer done()
		plain = io.LimitReader(r, MaxInflatedBytes) // checkRecords found that it ends before that
	}
	out := &cappedBuffer{max: rules.maxBytes}
	out.Grow(len(batch))
	err := out.appendBytes(batch[:metadata.BatchHeaderSize])
	if err == nil {
		err = compressRecords(out, rules.codec, rules.codecLevel, plain)
	}
	switch {
	case errors.Is(err, errBufferFull):
		return nil, h, refuseBatch(kerr.MessageTooLarge.Code, "batch, recompressed to compression.type, is larger than max.message.bytes (%d)", rules.maxBytes)
	case err != nil:
		return nil, h, refuseBatch(kerr.InvalidRecord.Code, "%v", err)
	}
	b := out.Bytes()
	h.Attributes = h.Attributes&^metadata.AttrCompression | uint16(rules.codec)
	h.Size = len(b)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-metadata.BatchPrefixSize))
	binary.BigEndian.PutUint16(b[21:], h.Attributes)
	h.CRC = metadata.BatchCRC(b)
	binary.BigEndian.PutUint32(b[17:], h.CRC)
	return b, h, nil
}

// errBufferFull: the limit is exceeded.
var errBufferFull = errors.New("buffer limit reached")

// cappedBuffer accepts at most max bytes.
type cappedBuffer struct {
	bytes.Buffer
	max int
}

// Write implements io.Writer.
func (b *cappedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.max {
		return 0, errBufferFull
	}
	return b.Buffer.Write(p)
}

func (b *cappedBuffer) appendBytes(p []byte) error {
	_, err := b.Write(p)
	return err
}

// ReadFrom hides Buffer's, which has no limit.
func (b *cappedBuffer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// compressRecords compresses plain. Level 0 is the codec's default.
func compressRecords(out io.Writer, codec, level int, plain io.Reader) error {
	w, err := newCompressor(out, codec, level)
	if err != nil {
		return fmt.Errorf("compress codec %d: %w", codec, err)
	}
	if _, err = io.Copy(w, plain); err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("compress codec %d: %w", codec, err)
	}
	return nil
}

type nopCloseWriter struct{ io.Writer }

// Close implements io.Closer.
func (nopCloseWriter) Close() error { return nil }

func newCompressor(out io.Writer, codec, level int) (io.WriteCloser, error) {
	switch codec {
	case codecNone:
		return nopCloseWriter{out}, nil
	case codecGzip:
		if level == 0 {
			level = gzip.DefaultCompression
		}
		return gzip.NewWriterLevel(out, level)
	case codecSnappy:
		return &xerialWriter{out: out}, nil
	case codecLZ4:
		w := lz4.NewWriter(out)
		return w, w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.BlockChecksumOption(false), lz4.ChecksumOption(false),
			lz4.CompressionLevelOption(mapLZ4Level(level)))
	case codecZstd:
		if level == 0 {
			level = 3
		}
		return zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
	}
	return nil, fmt.Errorf("codec %d is not known", codec)
}

// mapLZ4Level maps Kafka's levels: 9, the default, is the fast compressor; others
// are the high compression one, of which the library has nine levels.
func mapLZ4Level(level int) lz4.CompressionLevel {
	levels := [...]lz4.CompressionLevel{lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}
	if level == 0 || level == 9 {
		return lz4.Fast
	}
	return levels[min(max(level, 1), len(levels))-1]
}

// xerialBlock is the block size of Java's snappy.
const xerialBlock = 32 << 10

// xerialWriter writes snappy in Java's framing, which every client reads:
//
//	+--------------------------+---------+------------+------------------
//	| 0x82 'S N A P P Y' 0x00  | version | compatible | blocks: size,
//	| 8 bytes                  | int32 1 | int32 1    | int32, and bytes
//	+--------------------------+---------+------------+------------------
type xerialWriter struct {
	out     io.Writer
	started bool
	block   []byte
}

// Write implements io.Writer.
func (w *xerialWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), xerialBlock-len(w.block))
		w.block, p = append(w.block, p[:k]...), p[k:]
		if len(w.block) == xerialBlock {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// Close writes the last block.
func (w *xerialWriter) Close() error { return w.flush() }

func (w *xerialWriter) flush() error {
	var head []byte
	if !w.started {
		w.started = true
		head = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte(xerialHeader), 1), 1)
	}
	if len(w.block) > 0 {
		packed := s2.EncodeSnappy(nil, w.block)
		head = append(binary.BigEndian.AppendUint32(head, uint32(len(packed))), packed...)
		w.block = w.block[:0]
	}
	_, err := w.out.Write(head)
	return err
}
