package apportion

import (
	"math/bits"
	"slices"
)

// Split splits total over weights by largest remainder. It returns one
// part per weight, or nil when all weights are zero (or there are none): then
// there is nobody to pay, and the caller books the total to a reserved row.
// Weights and their sum may be as large as they like.
func Split(total uint64, weights []uint64) []uint64 {
	var sum uint128
	for _, w := range weights {
		sum = sum.add(uint128{lo: w})
	}
	if sum.isZero() {
		return nil
	}
	parts := make([]uint64, len(weights))
	rest := make([]remainder, 0, len(weights))
	left := total
	for i, w := range weights {
		if w == 0 {
			continue
		}
		hi, lo := bits.Mul64(total, w)
		quotient, rem := uint128{hi, lo}.divideBy(sum)
		parts[i] = quotient
		left -= quotient
		rest = append(rest, remainder{rem, i})
	}
	if left == 0 {
		return parts
	}
	slices.SortFunc(rest, remainder.compareTo)
	for _, r := range rest[:left] { // left < number of non-zero remainders
		parts[r.index]++
	}
	return parts
}

// remainder is what rounding down took from one claimant.
type remainder struct {
	rem   uint128
	index int
}

// compareTo orders larger remainders first, then smaller indices.
func (r remainder) compareTo(o remainder) int {
	if c := o.rem.compareTo(r.rem); c != 0 {
		return c
	}
	return r.index - o.index
}

// uint128 is an unsigned 128-bit integer.
type uint128 struct{ hi, lo uint64 }

func (a uint128) isZero() bool { return a.hi == 0 && a.lo == 0 }

// add returns a + b; callers add fewer than 2^64 words, so it cannot overflow.
func (a uint128) add(b uint128) uint128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return uint128{hi, lo}
}

func (a uint128) sub(b uint128) uint128 {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, _ := bits.Sub64(a.hi, b.hi, borrow)
	return uint128{hi, lo}
}

func (a uint128) compareTo(b uint128) int {
	switch {
	case a.hi < b.hi || a.hi == b.hi && a.lo < b.lo:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// divideBy returns a / d and a mod d for a quotient that fits 64 bits, which it
// does here because a = total x weight and weight <= d.
func (a uint128) divideBy(d uint128) (uint64, uint128) {
	if d.hi == 0 {
		quotient, rem := bits.Div64(a.hi, a.lo, d.lo)
		return quotient, uint128{lo: rem}
	}
	// Divide by the divisor's top 64 bits; the estimate is never too small
	// and at most one too large, so one step back and one correction do.
	shift := uint(bits.LeadingZeros64(d.hi))
	top := d.hi<<shift | d.lo>>(64-shift)
	half := uint128{a.hi >> 1, a.hi<<63 | a.lo>>1}
	quotient, _ := bits.Div64(half.hi, half.lo, top)
	quotient >>= 63 - shift
	if quotient > 0 {
		quotient--
	}
	hi, lo := bits.Mul64(d.lo, quotient)
	rem := a.sub(uint128{hi + d.hi*quotient, lo})
	if rem.compareTo(d) >= 0 {
		quotient++
		rem = rem.sub(d)
	}
	return quotient, rem
}
