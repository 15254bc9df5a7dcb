package framing

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
)

// Flags of a gzip member, RFC 1952.
const (
	gzipText = 1 << iota
	gzipHeaderCRC
	gzipExtra
	gzipName
	gzipComment
)

// gzipFill is how much Kafka's reader takes at a time; what it does at the end of
// a member depends on whether that is the end of what it took, too.
const gzipFill = 8192

// gzip draws members, and what is behind them.
func (d *drawer) gzip() (body []byte) {
	if d.with(8, "ends where Java's buffer does") {
		return d.gzipEdge()
	}
	pieces := d.split(d.plain(), 4)
	if len(pieces) > 1 {
		d.note("several members")
	}
	for _, p := range pieces {
		body = append(body, d.gzipMember(p, d.deflate(p))...)
	}
	if d.fault(4, "bytes behind it") {
		body = append(body, d.gzipTail()...)
	}
	return body
}

// gzipEdge is a member whose packed bytes end close to a multiple of gzipFill.
func (d *drawer) gzipEdge() []byte {
	size := gzipFill * (1 + d.IntN(3))
	plain := d.plainOf(size - 80 + d.IntN(50))
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.NoCompression) // the level is known
	_, _ = w.Write(plain)                            // to memory
	_ = w.Close()
	body := d.gzipMember(plain, b.Bytes())
	if d.one(4) {
		d.note("several members")
		return append(body, d.gzipMember(nil, d.deflate(nil))...)
	}
	d.note("bytes behind it")
	return append(body, d.gzipTail()...)
}

func (d *drawer) gzipMember(plain, packed []byte) []byte {
	out := append(d.gzipHeader(), packed...)
	crc, size := crc32.ChecksumIEEE(plain), uint32(len(plain))
	if d.fault(10, "a wrong checksum") {
		crc ^= 1 << d.IntN(32)
	}
	if d.fault(10, "a wrong length") {
		size += uint32(1 + d.IntN(1000))
	}
	out = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(out, crc), size)
	if d.fault(12, "a trailer cut short") {
		out = out[:len(out)-1-d.IntN(8)]
	}
	return out
}

func (d *drawer) gzipHeader() []byte {
	head := append([]byte{0x1f, 0x8b, 8, 0}, d.some(6)...) // time, level and system mean nothing to readers
	if d.with(6, "text") {
		head[3] |= gzipText
	}
	if d.with(4, "extra bytes") {
		n := d.pick(0, 1, 100, 511, 512, 513, 5000, 65535)
		head[3] |= gzipExtra
		head = append(binary.LittleEndian.AppendUint16(head, uint16(n)), d.some(n)...)
	}
	if d.one(4) {
		head[3] |= gzipName
		head = append(head, d.gzipText("a name")...)
	}
	if d.one(5) {
		head[3] |= gzipComment
		head = append(head, d.gzipText("a comment")...)
	}
	crc := d.with(4, "a checksum of the header")
	if crc {
		head[3] |= gzipHeaderCRC
	}
	if d.fault(10, "reserved flags") {
		head[3] |= byte(1+d.IntN(7)) << 5
	}
	if crc {
		head = binary.LittleEndian.AppendUint16(head, uint16(crc32.ChecksumIEEE(head)))
		if d.fault(3, "a wrong checksum of the header") {
			head[len(head)-1]++
		}
	}
	if d.fault(20, "another method") {
		head[2] = byte(d.IntN(8))
	}
	if d.fault(20, "another magic") {
		head[d.IntN(2)]++
	}
	return head
}

// gzipText is a name or a comment: any bytes but 0, and a 0.
func (d *drawer) gzipText(part string) []byte {
	n := d.pick(0, 1, 20, 510, 511, 512, 513, 3000, 70_000)
	if n > 500 {
		part = "long " + part[2:]
	}
	d.note(part)
	return append(d.some(n), 0)
}

// deflate packs with one of the levels, in one or more blocks.
func (d *drawer) deflate(plain []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, d.IntN(12)-2) // the levels are known
	pieces := [][]byte{plain}
	if d.with(4, "several blocks") {
		pieces = d.split(plain, 4)
	}
	for i, p := range pieces {
		_, _ = w.Write(p) // to memory
		if i < len(pieces)-1 {
			_ = w.Flush()
		}
	}
	_ = w.Close()
	return b.Bytes()
}

// gzipTail is what may follow the last member and is none, or not all of one.
func (d *drawer) gzipTail() []byte {
	n := d.pick(1, 2, 8, 9, 10, 11, 15, 17, 18, 19, 20, 26, 27, 40)
	switch d.IntN(3) {
	case 0:
		d.note("zeros behind it")
		return make([]byte, n)
	case 1:
		return d.some(n)
	}
	d.note("half a member behind it")
	member := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, d.deflate(d.some(40))...)
	return append(member, make([]byte, 8)...)[:n]
}
