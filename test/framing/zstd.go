package framing

import (
	"encoding/binary"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

const zstdMagic = 0xFD2FB528

// Bits of a zstd frame's descriptor; the lowest two say how long the dictionary's
// id is, the highest two the content's size.
const (
	zstdChecksum      = 1 << 2
	zstdReserved      = 1 << 3
	zstdUnused        = 1 << 4
	zstdSingleSegment = 1 << 5
)

// Types of a zstd block.
const (
	zstdRaw = iota
	zstdRLE
	zstdPacked
	zstdReservedType
)

const zstdBlockMost = 128 << 10

// zstd draws frames, and what is between and behind them.
func (d *drawer) zstd() (body []byte) {
	pieces := d.split(d.plain(), 3)
	if len(pieces) > 1 {
		d.note("several frames")
	}
	for _, p := range pieces {
		if d.with(10, "a skippable frame") {
			body = append(body, d.skippable()...)
		}
		body = append(body, d.zstdFrame(p)...)
	}
	switch {
	case d.with(12, "a skippable frame"):
		body = append(body, d.skippable()...)
	case d.fault(10, "bytes behind it"):
		body = append(body, d.some(d.pick(1, 2, 3, 4, 5, 20))...)
	case d.fault(10, "half a skippable frame behind it"):
		frame := append(d.skippable(), d.some(8)...)
		binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)))
		body = append(body, frame[:4+d.IntN(len(frame)-4)]...)
	case d.fault(8, "half a frame behind it"):
		frame := d.zstdFrame(d.some(100))
		body = append(body, frame[:1+d.IntN(len(frame)-1)]...)
	}
	return body
}

// zstdFrame is blocks of the library's or by hand, behind a header of its own.
func (d *drawer) zstdFrame(plain []byte) []byte {
	sum, window, blocks := d.zstdPackedBlocks(plain)
	if d.one(3) {
		d.note("blocks by hand")
		window = 1024
		blocks = d.zstdPlainBlocks(plain, &window)
	}
	flags := 0
	if d.with(2, "a checksum") {
		flags |= zstdChecksum
	}
	out := append(binary.LittleEndian.AppendUint32(nil, zstdMagic), d.zstdHeader(flags, window, len(plain))...)
	out = append(out, blocks...)
	if flags&zstdChecksum != 0 {
		if d.fault(5, "a wrong checksum") {
			sum ^= 1 << d.IntN(32)
		}
		out = binary.LittleEndian.AppendUint32(out, sum)
	}
	return out
}

// zstdPackedBlocks are the blocks of the library's frame, with the checksum of
// the content and the window that they need.
func (d *drawer) zstdPackedBlocks(plain []byte) (sum uint32, window int, blocks []byte) {
	if len(plain) == 0 { // the library has no checksum of nothing
		return 0x51d8e999, 1024, []byte{1, 0, 0}
	}
	level := zstd.SpeedFastest // the others take megabytes to begin with
	if d.one(6) {
		level = zstd.EncoderLevel(2 + d.IntN(3))
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(d.pick(1<<10, 1<<13, 1<<17)), zstd.WithEncoderCRC(true))
	if err != nil {
		panic(err) // the options are known
	}
	frame := e.EncodeAll(plain, nil)
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		panic(err) // it is the library's
	}
	window = int(h.WindowSize)
	if h.SingleSegment {
		window = len(plain)
	}
	end := len(frame) - 4
	return binary.LittleEndian.Uint32(frame[end:]), max(window, 1024), frame[h.HeaderSize:end]
}

// zstdPlainBlocks are blocks that are not packed, of which window may get larger.
func (d *drawer) zstdPlainBlocks(plain []byte, window *int) (out []byte) {
	block := func(kind, size, last int, content ...byte) {
		h := uint32(size)<<3 | uint32(kind)<<1 | uint32(last)
		out = append(append(out, byte(h), byte(h>>8), byte(h>>16)), content...)
	}
	most := d.pick(1024, 10_000, zstdBlockMost)
	*window = most
	if d.fault(10, "blocks that are too large") {
		most = d.pick(2*most, zstdBlockMost+1, 1<<21-1)
	}
	for len(plain) > 0 {
		for i, part := range []string{"an empty raw block", "an empty RLE block"} {
			if d.with(20, part) {
				block(i, 0, 0, make([]byte, i)...)
			}
		}
		if d.fault(20, "an empty packed block") {
			n := d.IntN(3)
			block(zstdPacked, n, 0, make([]byte, n)...)
		}
		if d.fault(30, "a block of the reserved type") {
			block(zstdReservedType, 4, 0, 1, 2, 3, 4)
		}
		if _, n := match(plain, 1); n >= 8 && plain[0] == plain[1] && d.one(2) {
			for n = 1; n < min(len(plain), most) && plain[n] == plain[0]; n++ {
			}
			block(zstdRLE, n, 0, plain[0])
			plain = plain[n:]
			continue
		}
		n := min(1+d.IntN(most), len(plain))
		block(zstdRaw, n, 0, plain[:n]...)
		plain = plain[n:]
	}
	if !d.fault(20, "no last block") {
		block(zstdRaw, 0, 1)
	}
	return out
}

// zstdHeader is what stands between the magic and the blocks.
func (d *drawer) zstdHeader(flags, window, size int) []byte {
	single := d.with(3, "a single segment")
	if single {
		flags |= zstdSingleSegment
	}
	if d.with(8, "the unused bit") {
		flags |= zstdUnused
	}
	if d.fault(16, "the reserved bit") {
		flags |= zstdReserved
	}
	told := uint64(size)
	if d.fault(14, "a wrong size of the content") {
		told += uint64(d.pick(-1, 1, 100, 1<<20, 1<<40))
	}
	widths := []int{2, 3} // 4 and 8 bytes
	if !single || told < 256 {
		widths = append(widths, 0)
	}
	if told >= 256 && told < 256+1<<16 {
		widths = append(widths, 1)
	}
	width := widths[d.IntN(len(widths))]
	idWidth := 0
	if d.with(5, "a dictionary id") {
		idWidth = 1 + d.IntN(3)
	}
	out := []byte{byte(flags | width<<6 | idWidth)}
	if !single {
		out = append(out, d.zstdWindow(window))
	}
	id := make([]byte, []int{0, 1, 2, 4}[idWidth])
	if idWidth > 0 && d.fault(2, "a dictionary") {
		id = d.some(len(id))
	}
	out = append(out, id...)
	if width == 1 {
		told -= 256
	}
	n := 1 << width
	if width == 0 && !single {
		n = 0
	}
	return append(out, binary.LittleEndian.AppendUint64(nil, told)[:n]...)
}

// zstdWindow is the descriptor of a window of at least so many bytes.
func (d *drawer) zstdWindow(window int) byte {
	log := max(10, bits.Len(uint(window-1)))
	if d.with(4, "a larger window") {
		log = max(log, d.pick(20, 23, 26, 27))
	}
	mantissa := 0
	switch {
	case log < 27 && d.one(3):
		mantissa = d.IntN(8)
	case d.fault(14, "a window beyond 128 MiB"):
		log, mantissa = d.pick(27, 28, 31, 41), 1+d.IntN(7)
	case d.fault(14, "a window that is too small"):
		log = 10
	}
	return byte((log-10)<<3 | mantissa)
}
