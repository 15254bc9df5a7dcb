package s3stream

import (
	"hash/crc32"
	"math/bits"
)

// checksumWAL returns the CRC32C of a whole object from the CRCs of its ranges
// in the index, without reading the ranges again. The body must be from
// EncodeWAL. A store that compares the body with it then guards the bytes from
// the moment at which they were copied into the object.
func checksumWAL(body []byte) (uint32, error) {
	o, err := decodeWAL(body)
	if err != nil {
		return 0, err
	}
	powers := crcPowers()
	sum := crc32.Checksum(body[:walHeaderSize], castagnoli)
	for _, r := range o.Ranges { // contiguous, from the header on
		sum = powers.combineCRC(sum, r.CRC, uint64(r.Length))
	}
	return crc32.Update(sum, castagnoli, body[o.Index.Position:]), nil
}

// powersOfX are x to the 2^n'th in the field of CRC32C, reflected: the highest
// bit is the constant term.
type powersOfX [64]uint32

func crcPowers() (p powersOfX) {
	p[0] = 1 << 30 // x
	for n := 1; n < len(p); n++ {
		p[n] = multiplyCRC(p[n-1], p[n-1])
	}
	return p
}

// combineCRC returns the CRC of two contiguous pieces from their CRCs and the
// length of the second, by which the first CRC is shifted.
func (p *powersOfX) combineCRC(first, second uint32, length uint64) uint32 {
	by := uint32(1 << 31) // one
	for n := length; n > 0; n &= n - 1 {
		by = multiplyCRC(by, p[bits.TrailingZeros64(n)+3]) // 8 bits a byte
	}
	return multiplyCRC(by, first) ^ second
}

// multiplyCRC multiplies two polynomials modulo CRC32C's.
func multiplyCRC(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return product
}
