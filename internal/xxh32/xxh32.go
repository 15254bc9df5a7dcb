// Package xxh32 computes the 32-bit xxHash with seed 0, the checksum of lz4 frames
// (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md).
package xxh32

import (
	"encoding/binary"
	"math/bits"
)

const (
	prime1 uint32 = 2654435761
	prime2 uint32 = 2246822519
	prime3 uint32 = 3266489917
	prime4 uint32 = 668265263
	prime5 uint32 = 374761393
)

// stripe is how many bytes are taken at a time.
const stripe = 16

// Digest hashes what comes in pieces. Its zero value is ready.
type Digest struct {
	lanes [4]uint32
	rest  [stripe]byte // what is short of a stripe
	kept  int          // bytes of rest
	total uint64
}

// Sum is the hash of in.
func Sum(in []byte) uint32 {
	var d Digest
	d.Write(in)
	return d.Sum()
}

// Write adds in.
func (d *Digest) Write(in []byte) {
	if d.total == 0 {
		one, two := prime1, prime2 // variables: a sum of constants would overflow
		d.lanes = [4]uint32{one + two, two, 0, -one}
	}
	d.total += uint64(len(in))
	if d.kept > 0 {
		n := copy(d.rest[d.kept:], in)
		d.kept, in = d.kept+n, in[n:]
		if d.kept < stripe {
			return
		}
		d.stripes(d.rest[:])
	}
	d.kept = copy(d.rest[:], d.stripes(in))
}

// stripes takes whole stripes and returns what is left.
func (d *Digest) stripes(in []byte) (rest []byte) {
	a, b, c, e := d.lanes[0], d.lanes[1], d.lanes[2], d.lanes[3]
	for ; len(in) >= stripe; in = in[stripe:] {
		a = bits.RotateLeft32(a+binary.LittleEndian.Uint32(in)*prime2, 13) * prime1
		b = bits.RotateLeft32(b+binary.LittleEndian.Uint32(in[4:])*prime2, 13) * prime1
		c = bits.RotateLeft32(c+binary.LittleEndian.Uint32(in[8:])*prime2, 13) * prime1
		e = bits.RotateLeft32(e+binary.LittleEndian.Uint32(in[12:])*prime2, 13) * prime1
	}
	d.lanes = [4]uint32{a, b, c, e}
	return in
}

// Sum is the hash of all that was added.
func (d *Digest) Sum() uint32 {
	h := prime5
	if d.total >= stripe {
		h = bits.RotateLeft32(d.lanes[0], 1) + bits.RotateLeft32(d.lanes[1], 7) + bits.RotateLeft32(d.lanes[2], 12) + bits.RotateLeft32(d.lanes[3], 18)
	}
	h += uint32(d.total)
	in := d.rest[:d.kept]
	for ; len(in) >= 4; in = in[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(in)*prime3, 17) * prime4
	}
	for _, b := range in {
		h = bits.RotateLeft32(h+uint32(b)*prime5, 11) * prime1
	}
	h = (h ^ h>>15) * prime2
	h = (h ^ h>>13) * prime3
	return h ^ h>>16
}
