package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"

	"github.com/zonewise/zonewise/internal/xxh32"
)

// An lz4 frame as Kafka's clients write it and Kafka's own reader accepts it
// (Lz4BlockInputStream, Kafka 4.4): one frame of independent blocks.
//
//	+-------+-----+----+--------------+----+---------------------------------+----------+----------+
//	| magic | FLG | BD | content size | HC | blocks: size, bytes, [checksum] | 0 (u32)  | content  |
//	| u32   | u8  | u8 | [u64]        | u8 | u32 LE                          |          | checksum |
//	+-------+-----+----+--------------+----+---------------------------------+----------+----------+
const (
	lz4Magic           = 0x184D2204
	lz4Reserved        = 0b11 // of FLG; the lower bit means a dictionary
	lz4ContentChecksum = 1 << 2
	lz4ContentSize     = 1 << 3
	lz4BlockChecksum   = 1 << 4
	lz4Independent     = 1 << 5
	lz4Uncompressed    = 1 << 31 // of a block's size: not compressed
)

var (
	errLZ4Short    = errors.New("lz4: truncated frame")
	errLZ4Checksum = errors.New("lz4: a checksum is wrong")
	errLZ4Block    = errors.New("lz4: a block cannot be unpacked")
	errLZ4Content  = errors.New("lz4: the content is not what the frame says of it")
)

// lz4Reader decompresses a frame, a block at a time. Java's reader is stricter than
// the format and must accept what a broker accepts: a batch with linked blocks, in
// the legacy format, or after a skippable frame would block every Java consumer
// forever. As in Java's reader, bytes after the frame are ignored, so that the
// records of a second frame are missing.
type lz4Reader struct {
	in    []byte // not decompressed yet
	flags byte
	most  int    // maximum bytes of a block
	size  uint64 // of the content, from the frame's descriptor
	sum   xxh32.Digest
	block []byte // memory of the last block
	out   []byte // of that, not read yet
	total uint64 // decompressed bytes
	ended bool
	empty bool // an empty block was read
}

// reset starts a frame.
func (z *lz4Reader) reset(in []byte) error {
	*z = lz4Reader{block: z.block}
	n, err := z.header(in)
	if err != nil {
		return err
	}
	z.in = in[n:]
	return nil
}

// release drops the references to the bytes.
func (z *lz4Reader) release() { *z = lz4Reader{block: z.block} }

// header reads the frame's descriptor and returns where it ends.
func (z *lz4Reader) header(in []byte) (int, error) {
	bad := func(format string, args ...any) (int, error) {
		return 0, fmt.Errorf("lz4 that Java clients cannot read: "+format, args...)
	}
	if len(in) < 7 {
		return bad("%d bytes", len(in))
	}
	if magic := binary.LittleEndian.Uint32(in); magic != lz4Magic {
		return bad("magic %#08x, want %#08x", magic, lz4Magic)
	}
	flags, block := in[4], in[5]
	switch {
	case flags>>6 != 1:
		return bad("version %d", flags>>6)
	case flags&lz4Reserved != 0:
		return bad("reserved bits or a dictionary")
	case flags&lz4Independent == 0:
		return bad("dependent blocks")
	case block&0x8f != 0 || block>>4 < 4:
		return bad("block descriptor %#02x", block)
	}
	z.flags, z.most = flags, 1<<(2*(block>>4)+8)
	at := 6
	if flags&lz4ContentSize != 0 {
		if len(in) < at+9 {
			return 0, errLZ4Short
		}
		z.size = binary.LittleEndian.Uint64(in[at:])
		at += 8
	}
	if in[at] != byte(xxh32.Sum(in[4:at])>>8) {
		return 0, errLZ4Checksum
	}
	return at + 1, nil
}

// Read implements io.Reader.
func (z *lz4Reader) Read(p []byte) (int, error) {
	for len(z.out) == 0 {
		if z.ended {
			return 0, io.EOF
		}
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.out)
	z.out = z.out[n:]
	return n, nil
}

// next decompresses a block.
func (z *lz4Reader) next() error {
	if len(z.in) < 4 {
		return errLZ4Short
	}
	head := binary.LittleEndian.Uint32(z.in)
	size := int(head &^ lz4Uncompressed)
	z.in = z.in[4:]
	switch {
	case head == 0:
		return z.end()
	case size > z.most:
		return fmt.Errorf("lz4: block of %d bytes, maximum %d", size, z.most)
	case size > len(z.in):
		return errLZ4Short
	}
	block := z.in[:size]
	z.in = z.in[size:]
	if z.flags&lz4BlockChecksum != 0 {
		if len(z.in) < 4 {
			return errLZ4Short
		}
		if binary.LittleEndian.Uint32(z.in) != xxh32.Sum(block) {
			return errLZ4Checksum
		}
		z.in = z.in[4:]
	}
	var err error
	if z.out = block; head&lz4Uncompressed == 0 {
		z.out, err = z.unpack(block)
	}
	return errors.Join(err, z.count())
}

// count counts the decompressed bytes. Java's readers stop at an empty block, so no
// block with content may follow it.
func (z *lz4Reader) count() error {
	switch {
	case len(z.out) == 0:
		z.empty = true
	case z.empty:
		return fmt.Errorf("%w: it is behind an empty one", errLZ4Block)
	}
	z.total += uint64(len(z.out))
	if z.flags&lz4ContentChecksum != 0 {
		z.sum.Write(z.out)
	}
	return nil
}

func (z *lz4Reader) unpack(block []byte) ([]byte, error) {
	if !hasValidLZ4End(block) {
		return nil, errLZ4Block
	}
	if most := min(z.most, 255*len(block)); most > cap(z.block) { // the maximum compression ratio
		z.block = make([]byte, most)
	}
	n, err := lz4.UncompressBlock(block, z.block[:min(z.most, cap(z.block))])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLZ4Block, err)
	}
	return z.block[:n], nil
}

// end checks the content's size and checksum. Java's reader does not, but
// librdkafka and franz-go do, and would be blocked there forever.
func (z *lz4Reader) end() error {
	z.ended = true
	if z.flags&lz4ContentChecksum != 0 {
		if len(z.in) < 4 {
			return errLZ4Short
		}
		if binary.LittleEndian.Uint32(z.in) != z.sum.Sum() {
			return errLZ4Content
		}
	}
	if z.flags&lz4ContentSize != 0 && z.size != z.total {
		return errLZ4Content
	}
	return nil
}

// lz4EndMargin is how many bytes the format requires after the literals of every
// sequence except the last: an offset, a token, and five literals.
const lz4EndMargin = 8

// hasValidLZ4End reports whether the sequences of a block end as the format requires,
// which the Java and C decoders check and the Go one does not.
func hasValidLZ4End(block []byte) bool {
	for at, last := 0, len(block)-lz4EndMargin; at < len(block); {
		token := block[at]
		literals, match := int(token>>4), token&15
		at++
		if literals == 15 {
			literals, at = lz4Length(block, at)
		}
		if at += literals; at > last {
			return at == len(block)
		}
		at += 2
		if match == 15 {
			_, at = lz4Length(block, at)
		}
	}
	return false
}

// lz4Length decodes a length of at least 15, which continues in bytes of 255.
func lz4Length(block []byte, at int) (n, next int) {
	for n = 15; at < len(block); {
		b := block[at]
		n, at = n+int(b), at+1
		if b != 255 {
			break
		}
	}
	return n, at
}
