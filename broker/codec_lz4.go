package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// An lz4 frame as Kafka's clients write it and Kafka's own reader takes it
// (Lz4BlockInputStream, Kafka 4.1): one frame, of independent blocks.
//
//	+-------+-----+----+--------------+----+---------------------------------+----------+----------+
//	| magic | FLG | BD | content size | HC | blocks: size, bytes, [checksum] | 0 (u32)  | content  |
//	| u32   | u8  | u8 | [u64]        | u8 | u32 LE                          |          | checksum |
//	+-------+-----+----+--------------+----+---------------------------------+----------+----------+
const (
	lz4Magic           = 0x184D2204
	lz4Reserved        = 0b11 // of FLG; the lower one tells of a dictionary
	lz4ContentChecksum = 1 << 2
	lz4ContentSize     = 1 << 3
	lz4BlockChecksum   = 1 << 4
	lz4Independent     = 1 << 5
	lz4Plain           = 1 << 31 // of a block's size: it is not packed
)

// lz4Frame returns the frame that in begins with. Java's reader, which is
// stricter than the format, must take what a broker takes: a batch with linked
// blocks, in the legacy format, or behind a skippable frame would stop every Java
// consumer at it for ever. Like it, nothing behind the frame is looked at; like
// Kafka's, ours is then short of the records that a second frame may have.
func lz4Frame(in []byte) ([]byte, error) {
	bad := func(format string, args ...any) ([]byte, error) {
		return nil, fmt.Errorf("lz4 that Java clients cannot read: "+format, args...)
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
		return bad("blocks that depend on those before them")
	case block&0x8f != 0 || block>>4 < 4:
		return bad("block descriptor %#02x", block)
	}
	at, most := 7, 1<<(2*(block>>4)+8)
	if flags&lz4ContentSize != 0 {
		at += 8
	}
	for {
		if at+4 > len(in) {
			return nil, errLZ4Short
		}
		size := int(binary.LittleEndian.Uint32(in[at:]) &^ lz4Plain)
		at += 4
		if size == 0 {
			break
		}
		if size > most {
			return bad("a block of %d bytes, its frame's have %d at most", size, most)
		}
		if at += size; flags&lz4BlockChecksum != 0 {
			at += 4
		}
	}
	if flags&lz4ContentChecksum != 0 {
		at += 4
	}
	if at > len(in) {
		return nil, errLZ4Short
	}
	return in[:at], nil
}

var errLZ4Short = errors.New("lz4: the frame is cut short")
