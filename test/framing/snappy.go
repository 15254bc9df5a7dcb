package framing

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/s2"
)

// xerialMagic begins snappy in the framing of Java's SnappyOutputStream; two
// versions of 4 bytes follow, then chunks with a length each.
const xerialMagic = "\x82SNAPPY\x00"

// snappy draws a raw block, or chunks in Java's framing.
func (d *drawer) snappy() []byte {
	plain := d.plain()
	if d.one(3) {
		d.note("raw")
		body := d.snappyBlock(plain)
		if d.fault(8, "bytes behind it") {
			body = append(body, d.some(d.pick(1, 2, 4, 20))...)
		}
		return body
	}
	body := d.xerialHeader()
	for i, p := range d.split(plain, 4) {
		if i > 0 && d.with(12, "a header between chunks") {
			body = append(body, d.xerialHeader()...)
		}
		if d.fault(20, "a chunk of length 0") {
			body = append(body, 0, 0, 0, 0)
		}
		body = append(body, d.xerialChunk(p)...)
	}
	switch {
	case d.fault(8, "bytes behind it"):
		body = append(body, d.some(d.pick(1, 2, 3, 4, 5, 20))...)
	case d.fault(10, "a header behind it"):
		body = append(body, d.xerialHeader()...)
	case d.fault(10, "half a header behind it"):
		body = append(body, d.xerialHeader()[:1+d.IntN(15)]...)
	case d.fault(10, "half a chunk behind it"):
		chunk := d.xerialChunk(d.some(100))
		body = append(body, chunk[:1+d.IntN(len(chunk)-1)]...)
	}
	return body
}

func (d *drawer) xerialHeader() []byte {
	head := []byte(xerialMagic)
	versions := [2]uint32{1, 1}
	for i, part := range []string{"another version", "compatible with another version"} {
		if d.fault(10, part) {
			versions[i] = uint32(d.pick(-1, 0, 2, 3, 1<<24, 1<<30))
		}
	}
	head = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(head, versions[0]), versions[1])
	if d.fault(16, "another magic") {
		head[d.IntN(len(xerialMagic))] ^= 1
	}
	return head
}

func (d *drawer) xerialChunk(plain []byte) []byte {
	packed := d.snappyBlock(plain)
	size := uint32(len(packed))
	if d.fault(16, "a wrong length of a chunk") {
		size += uint32(d.pick(-1, 1, 5, 1<<20, 1<<31))
	}
	return append(binary.BigEndian.AppendUint32(nil, size), packed...)
}

// snappyBlock packs plain, with operations of its own choice or the library's.
func (d *drawer) snappyBlock(plain []byte) []byte {
	var packed []byte
	switch d.IntN(3) {
	case 0:
		packed = s2.EncodeSnappy(nil, plain)
	case 1:
		packed = s2.EncodeSnappyBest(nil, plain)
	case 2:
		d.note("operations by hand")
		packed = binary.AppendUvarint(nil, uint64(len(plain)))
		packed = append(packed, d.snappyOps(plain)...)
	}
	if d.fault(12, "S2's operations") {
		packed = s2.EncodeBetter(nil, plain)
	}
	length, n := binary.Uvarint(packed)
	switch {
	case d.fault(16, "a wrong length of the content"):
		length += uint64(d.pick(-1, 1, 7, 1000, 1<<20, 1<<33))
		packed = append(binary.AppendUvarint(nil, length), packed[n:]...)
	case d.fault(16, "a length of the content with more bytes than it needs"):
		head := bytes.Clone(packed[:n])
		for range 1 + d.IntN(4) {
			head[len(head)-1] |= 0x80
			head = append(head, 0)
		}
		packed = append(head, packed[n:]...)
	}
	return packed
}

// snappyOps writes literals of every kind, and copies of every kind where plain
// repeats.
func (d *drawer) snappyOps(plain []byte) (out []byte) {
	for at := 0; at < len(plain); {
		if offset, n := match(plain, at); n >= 4 {
			n = min(n, 4+d.IntN(61))
			out = append(out, d.snappyCopy(offset, n)...)
			at += n
			continue
		}
		n := min(1+d.IntN(d.pick(20, 300, 5000)), len(plain)-at)
		out = append(out, d.snappyLiteral(n)...)
		out = append(out, plain[at:at+n]...)
		at += n
	}
	if d.fault(16, "a copy from before the start") {
		out = append(out, d.snappyCopy(len(plain)+1+d.IntN(9), 4)...)
	}
	return out
}

// snappyLiteral is the tag of n bytes; its length may take more bytes than it needs.
func (d *drawer) snappyLiteral(n int) []byte {
	more := d.IntN(5)
	for more < 4 && (more == 0 && n > 60 || more > 0 && n > 1<<(8*more)) {
		more++
	}
	if more == 0 {
		return []byte{byte(n-1) << 2}
	}
	return append([]byte{byte(59+more) << 2}, binary.LittleEndian.AppendUint32(nil, uint32(n-1))[:more]...)
}

// snappyCopy is the tag of a copy of 4 to 64 bytes.
func (d *drawer) snappyCopy(offset, n int) []byte {
	kind := 1 + d.IntN(3)
	switch {
	case kind == 1 && n <= 11 && offset < 2048:
		return []byte{1 | byte(n-4)<<2 | byte(offset>>8)<<5, byte(offset)}
	case kind < 3 && offset < 1<<16:
		return []byte{2 | byte(n-1)<<2, byte(offset), byte(offset >> 8)}
	}
	return binary.LittleEndian.AppendUint32([]byte{3 | byte(n-1)<<2}, uint32(offset))
}
