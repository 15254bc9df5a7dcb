package broker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Kafka's compression codecs, by their number in a batch's attributes.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
	codecProducer = -1 // compression.type=producer: unchanged
)

// errInflatedTooLarge: the decompressed data is larger than the caller's limit.
var errInflatedTooLarge = errors.New("decompresses to more than the limit")

// errBatchTooLarge returns the error for a batch over the topic's limit.
var errBatchTooLarge = fmt.Errorf("the batch %w: %d bytes", errInflatedTooLarge, MaxInflatedBytes)

// zstdWindow bounds the memory of a zstd decoder; Kafka's producers use far
// less.
const zstdWindow = 128 << 20

// codecs pools decoders: a zstd decoder is expensive to create.
type codecs struct {
	gzip, snappy, lz4, zstd, buffers sync.Pool
}

func newCodecs() *codecs { return &codecs{} }

// Decompress decompresses the records of a batch, at most max bytes of them.
// codec is the number in the attributes; 0 returns in itself.
func Decompress(codec int, in []byte, max int) ([]byte, error) {
	if codec == codecNone {
		return in, nil
	}
	r, done, err := newCodecs().openReader(codec, in, max)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := io.ReadAll(io.LimitReader(r, int64(max)+1))
	if err != nil {
		return nil, fmt.Errorf("decompress codec %d: %w", codec, err)
	}
	if len(out) > max {
		return nil, fmt.Errorf("decompress codec %d: %w", codec, errInflatedTooLarge)
	}
	return out, nil
}

// openReader returns a reader of the decompressed bytes; done returns the
// decoder to the pool.
func (cs *codecs) openReader(codec int, in []byte, max int) (r io.Reader, done func(), err error) {
	switch codec {
	case codecGzip:
		z, _ := cs.gzip.Get().(*gzipReader)
		if z == nil {
			z = new(gzipReader)
		}
		if err := z.reset(in); err != nil {
			return nil, nil, err
		}
		return z, func() { z.release(); cs.gzip.Put(z) }, nil
	case codecSnappy:
		z, _ := cs.snappy.Get().(*snappyReader)
		if z == nil {
			z = &snappyReader{}
		}
		z.reset(in, max)
		return z, func() { z.reset(nil, 0); cs.snappy.Put(z) }, nil
	case codecLZ4:
		z, _ := cs.lz4.Get().(*lz4Reader)
		if z == nil {
			z = new(lz4Reader)
		}
		if err := z.reset(in); err != nil {
			return nil, nil, err
		}
		return z, func() { z.release(); cs.lz4.Put(z) }, nil
	case codecZstd:
		z, _ := cs.zstd.Get().(*zstd.Decoder)
		if z == nil {
			if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderLowmem(true)); err != nil {
				return nil, nil, fmt.Errorf("open zstd: %w", err)
			}
		}
		if err := z.Reset(bytes.NewReader(in)); err != nil {
			return nil, nil, fmt.Errorf("open zstd: %w", err)
		}
		return z, func() { cs.zstd.Put(z) }, nil
	}
	return nil, nil, fmt.Errorf("codec %d is not known", codec)
}

// checkRecords checks every record of a batch, decompressing as it goes.
func (cs *codecs) checkRecords(in []byte, codec int, w *recordChecker) *batchError {
	var err error
	if codec == codecNone {
		err = checkPlainRecords(in, w)
	} else {
		err = cs.checkCompressedRecords(in, codec, w)
	}
	switch {
	case err != nil:
		return refuseBatch(kerr.InvalidRecord.Code, "%v", err)
	case w.index != w.header.RecordCount:
		return refuseBatch(kerr.InvalidRecord.Code, "%d records in a batch of %d", w.index, w.header.RecordCount)
	}
	return w.refusal
}

func checkPlainRecords(in []byte, w *recordChecker) error {
	for len(in) > 0 {
		n, k := binary.Varint(in)
		if k <= 0 || n < 0 || n > int64(len(in)-k) {
			return fmt.Errorf("%w: length of record %d", errBadRecord, w.index)
		}
		if w.index >= w.header.RecordCount {
			return errors.New("trailing bytes after the last record")
		}
		if err := w.checkRecord(in[k : k+int(n)]); err != nil {
			return err
		}
		in = in[k+int(n):]
	}
	return nil
}

// recordBufferSize is the window over decompressed bytes.
const recordBufferSize = 32 << 10

// checkCompressedRecords decompresses a whole batch. This cannot be avoided:
// Kafka's LogValidator (4.1, validateMessagesAndAssignOffsetsCompressed) also
// reads the records of every compressed batch, for their timestamps (the header
// gets the largest), their offsets, their keys on compacted topics, and their
// number; it only skips copying keys and values.
func (cs *codecs) checkCompressedRecords(in []byte, codec int, w *recordChecker) error {
	r, done, err := cs.openReader(codec, in, MaxInflatedBytes)
	if err != nil {
		return err
	}
	defer done()
	limited := &io.LimitedReader{R: r, N: MaxInflatedBytes + 1}
	b, _ := cs.buffers.Get().(*bufio.Reader)
	if b == nil {
		b = bufio.NewReaderSize(limited, recordBufferSize)
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
			return errBatchTooLarge
		case err != nil || n < 0:
			return fmt.Errorf("%w: length of record %d", errBadRecord, w.index)
		}
		if w.index >= w.header.RecordCount {
			return errors.New("trailing bytes after the last record")
		}
		record := scratch
		if n <= recordBufferSize {
			record, err = b.Peek(int(n))
		} else {
			scratch, err = readRecord(b, scratch, int(n))
			record = scratch
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", w.index, err)
		}
		if err := w.checkRecord(record); err != nil {
			return err
		}
		if n <= recordBufferSize {
			if _, err := b.Discard(int(n)); err != nil {
				return err
			}
		}
	}
	if limited.N <= 0 {
		return errBatchTooLarge
	}
	return nil
}

// readRecord reads n bytes, allocating as they arrive.
func readRecord(r io.Reader, scratch []byte, n int) ([]byte, error) {
	if n <= cap(scratch) {
		_, err := io.ReadFull(r, scratch[:n])
		return scratch[:n], err
	}
	scratch = scratch[:0]
	for len(scratch) < n {
		have := len(scratch)
		scratch = append(scratch, make([]byte, min(n-have, max(recordBufferSize, have)))...)
		if _, err := io.ReadFull(r, scratch[have:]); err != nil {
			return scratch, err
		}
	}
	return scratch, nil
}
