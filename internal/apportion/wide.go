package apportion

import (
	"math/big"
	"slices"
)

// Weight is an unsigned 128-bit weight, Hi x 2^64 + Lo: byte-milliseconds of a
// tebibyte pass 64 bits within hours.
type Weight struct{ Hi, Lo uint64 }

// SplitWide is Split for weights of 128 bits. It costs allocations, so
// it serves reports, not apply.
func SplitWide(total uint64, weights []Weight) []uint64 {
	if narrow, ok := toUint64s(weights); ok {
		return Split(total, narrow)
	}
	sum, all := new(big.Int), new(big.Int).SetUint64(total)
	for _, w := range weights {
		sum.Add(sum, w.toBigInt())
	}
	type rest struct {
		rem   *big.Int
		index int
	}
	parts := make([]uint64, len(weights))
	var rests []rest
	left := total
	for i, w := range weights {
		if w == (Weight{}) {
			continue
		}
		quotient, rem := new(big.Int).QuoRem(new(big.Int).Mul(all, w.toBigInt()), sum, new(big.Int))
		parts[i] = quotient.Uint64() // <= total, because weight <= sum
		left -= parts[i]
		rests = append(rests, rest{rem, i})
	}
	slices.SortFunc(rests, func(a, b rest) int {
		if c := b.rem.Cmp(a.rem); c != 0 {
			return c
		}
		return a.index - b.index
	})
	for _, r := range rests[:left] {
		parts[r.index]++
	}
	return parts
}

// toUint64s returns the weights as 64-bit words where all of them fit.
func toUint64s(weights []Weight) ([]uint64, bool) {
	out := make([]uint64, len(weights))
	for i, w := range weights {
		if w.Hi != 0 {
			return nil, false
		}
		out[i] = w.Lo
	}
	return out, true
}

func (w Weight) toBigInt() *big.Int {
	b := new(big.Int).SetUint64(w.Hi)
	return b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(w.Lo))
}
