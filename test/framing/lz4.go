package framing

import (
	"bytes"
	"encoding/binary"

	"github.com/pierrec/lz4/v4"

	"github.com/zonewise/zonewise/internal/xxh32"
)

// Flags of an lz4 frame's descriptor.
const (
	lz4Dictionary      = 1
	lz4Reserved        = 1 << 1
	lz4ContentChecksum = 1 << 2
	lz4ContentSize     = 1 << 3
	lz4BlockChecksum   = 1 << 4
	lz4Independent     = 1 << 5
	lz4Version         = 1 << 6
	lz4Plain           = 1 << 31 // of a block's size: it is not packed
)

// lz4 draws a frame, and what is before and behind it.
func (d *drawer) lz4() (body []byte) {
	plain := d.plain()
	if d.fault(20, "the legacy format") {
		packed := d.lz4Pack(plain)
		body = binary.LittleEndian.AppendUint32(nil, 0x184C2102)
		return append(binary.LittleEndian.AppendUint32(body, uint32(len(packed))), packed...)
	}
	if d.fault(12, "a skippable frame first") {
		body = d.skippable()
	}
	if d.fault(12, "an empty frame first") {
		body = append(body, d.lz4Frame(nil)...)
	}
	pieces := [][]byte{plain}
	if d.fault(12, "several frames") {
		pieces = d.split(plain, 3)
	}
	for _, p := range pieces {
		body = append(body, d.lz4Frame(p)...)
	}
	switch {
	case d.fault(10, "bytes behind it"):
		body = append(body, d.some(d.pick(1, 3, 4, 8, 30))...)
	case d.fault(12, "a frame behind it"):
		body = append(body, d.lz4Frame(plain)...)
	case d.fault(12, "a skippable frame last"):
		body = append(body, d.skippable()...)
	}
	return body
}

// skippable is a frame that readers of lz4 and zstd pass over.
func (d *drawer) skippable() []byte {
	n := d.pick(0, 1, 3, 1000)
	out := binary.LittleEndian.AppendUint32(nil, 0x184D2A50+uint32(d.IntN(16)))
	return append(binary.LittleEndian.AppendUint32(out, uint32(n)), d.some(n)...)
}

func (d *drawer) lz4Frame(plain []byte) []byte {
	flags, id := lz4Version|lz4Independent, 4+d.IntN(4)
	for flag, part := range []string{2: "a checksum of the content", 3: "a size of the content", 4: "checksums of blocks"} {
		if part != "" && d.with(3, part) {
			flags |= 1 << flag
		}
	}
	out := append(binary.LittleEndian.AppendUint32(nil, 0x184D2204), d.lz4Descriptor(flags, id, len(plain))...)
	out = append(out, d.lz4Blocks(plain, 1<<(8+2*id), flags&lz4BlockChecksum != 0)...)
	if d.fault(14, "no end mark") {
		return out
	}
	out = append(out, 0, 0, 0, 0)
	if flags&lz4ContentChecksum != 0 {
		sum := xxh32.Sum(plain)
		if d.fault(4, "a wrong checksum of the content") {
			sum ^= 1 << d.IntN(32)
		}
		out = binary.LittleEndian.AppendUint32(out, sum)
		if d.fault(14, "a checksum of the content cut short") {
			out = out[:len(out)-1-d.IntN(4)]
		}
	}
	return out
}

// lz4Descriptor is what stands between the magic and the blocks.
func (d *drawer) lz4Descriptor(flags, id, size int) []byte {
	block := byte(id << 4)
	switch {
	case d.fault(14, "linked blocks"):
		flags &^= lz4Independent
	case d.fault(14, "a reserved flag"):
		flags |= lz4Reserved
	case d.fault(14, "another version"):
		flags ^= d.pick(1, 2, 3) << 6
	case d.fault(14, "another block descriptor"):
		block ^= byte(1 + d.IntN(255))
	case d.fault(14, "a dictionary"):
		flags |= lz4Dictionary
	}
	out := []byte{byte(flags), block}
	if flags&lz4ContentSize != 0 {
		told := uint64(size)
		if d.fault(4, "a wrong size of the content") {
			told = uint64(d.pick(0, 1, size+1, size/2, -1))
		}
		out = binary.LittleEndian.AppendUint64(out, told)
	}
	if flags&lz4Dictionary != 0 {
		out = append(out, d.some(4)...)
	}
	sum := byte(xxh32.Sum(out) >> 8)
	if d.fault(14, "a wrong checksum of the descriptor") {
		sum ^= 1 << d.IntN(8)
	}
	return append(out, sum)
}

// lz4Blocks packs plain in blocks of at most so many bytes.
func (d *drawer) lz4Blocks(plain []byte, most int, sums bool) (out []byte) {
	if d.with(3, "small blocks") {
		most = min(most, max(d.pick(100, 1000, 20_000), len(plain)/50))
	}
	if d.fault(14, "blocks that are too large") {
		most = 1 << 30
	}
	for len(plain) > 0 {
		n := min(most, len(plain))
		out = append(out, d.lz4Block(plain[:n], sums)...)
		plain = plain[n:]
		if d.fault(20, "an empty packed block") {
			out = append(out, d.lz4Sealed([]byte{0}, 1, sums)...)
		}
		if d.fault(20, "an empty plain block") {
			out = append(out, d.lz4Sealed(nil, lz4Plain, sums)...)
		}
	}
	return out
}

func (d *drawer) lz4Block(plain []byte, sums bool) []byte {
	if d.one(5) {
		return d.lz4Sealed(plain, uint32(len(plain))|lz4Plain, sums)
	}
	packed := d.lz4Pack(plain)
	return d.lz4Sealed(packed, uint32(len(packed)), sums)
}

// lz4Sealed is a block with its size and its checksum.
func (d *drawer) lz4Sealed(block []byte, size uint32, sum bool) []byte {
	out := append(binary.LittleEndian.AppendUint32(nil, size), block...)
	if sum {
		sum := xxh32.Sum(block)
		if d.fault(10, "a wrong checksum of a block") {
			sum ^= 1 << d.IntN(32)
		}
		out = binary.LittleEndian.AppendUint32(out, sum)
	}
	return out
}

// lz4Pack packs a block, with sequences of its own choice or the library's.
func (d *drawer) lz4Pack(plain []byte) []byte {
	out := make([]byte, lz4.CompressBlockBound(len(plain)))
	n := 0
	switch d.IntN(3) {
	case 0:
		n, _ = lz4.CompressBlock(plain, out, nil) // there is room
	case 1:
		n, _ = lz4.CompressBlockHC(plain, out, lz4.Level5, nil, nil)
	}
	if n > 0 {
		return out[:n]
	}
	d.note("sequences by hand")
	return d.lz4Sequences(plain)
}

// lz4Sequences writes literals, and matches where plain repeats. The format wants
// the last five bytes to be literals, and a match to begin twelve bytes before
// the end at the latest.
func (d *drawer) lz4Sequences(plain []byte) (out []byte) {
	last := 12
	if d.fault(4, "a match close to the end") {
		last = 4
	}
	from := 0
	for at := 1; at+last <= len(plain); at++ {
		offset, n := match(plain, at)
		if n < 4 || d.one(3) {
			continue
		}
		if last == 12 {
			n = min(n, len(plain)-5-at)
		}
		if n = min(n, 4+d.IntN(d.pick(10, 1000))); n < 4 {
			continue
		}
		if d.fault(20, "a match from before the start") {
			offset = at + 1 + d.IntN(100)
		}
		if d.fault(20, "a match at offset 0") {
			offset = 0
		}
		out = append(out, lz4Sequence(plain[from:at], offset, n)...)
		from, at = at+n, at+n-1
	}
	if from == len(plain) && from > 0 && d.one(2) {
		d.note("ends with a match")
		return out
	}
	return append(out, lz4Sequence(plain[from:], 0, 0)...)
}

// lz4Sequence is literals and a match of at least 4 bytes, or of none at the end.
func lz4Sequence(literals []byte, offset, length int) []byte {
	token, more := lz4Length(len(literals))
	out := append(append([]byte{token << 4}, more...), literals...)
	if length > 0 {
		token, more = lz4Length(length - 4)
		out[0] |= token
		out = append(append(out, byte(offset), byte(offset>>8)), more...)
	}
	return out
}

// lz4Length is a length's half of the token, and the bytes that it goes on with.
func lz4Length(n int) (token byte, more []byte) {
	if n < 15 {
		return byte(n), nil
	}
	return 15, append(bytes.Repeat([]byte{255}, (n-15)/255), byte((n-15)%255))
}
