package apportion

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestKnownSplitsIncludingTheAlabamaParadox(t *testing.T) {
	for _, c := range []struct {
		total   uint64
		weights []uint64
		want    []uint64
	}{
		{10, []uint64{6, 6, 2}, []uint64{4, 4, 2}},
		{11, []uint64{6, 6, 2}, []uint64{5, 5, 1}},
		{0, []uint64{1, 2}, []uint64{0, 0}},
		{7, []uint64{0, 3}, []uint64{0, 7}},
		{1, []uint64{5, 5, 5}, []uint64{1, 0, 0}}, // ties: the first index
		{2, []uint64{5, 5, 5}, []uint64{1, 1, 0}},
		{1_000_000_000, []uint64{1, 1, 1}, []uint64{333333334, 333333333, 333333333}},
		{math.MaxUint64, []uint64{math.MaxUint64, math.MaxUint64}, []uint64{1 << 63, 1<<63 - 1}},
		{5, []uint64{0, 0}, nil},
		{5, nil, nil},
	} {
		if got := Split(c.total, c.weights); !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("Apportion(%d, %v) = %v, want %v", c.total, c.weights, got, c.want)
		}
	}
}

func TestRandomSplitsKeepTheFourPromises(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		weights := make([]uint64, 1+r.IntN(12))
		for i := range weights {
			weights[i] = pick(r)
		}
		check(t, pick(r), weights)
	}
}

// pick draws from the sizes where arithmetic breaks: zero, small, and all
// widths up to 64 bits.
func pick(r *rand.Rand) uint64 {
	switch r.IntN(4) {
	case 0:
		return uint64(r.IntN(3))
	case 1:
		return math.MaxUint64 - uint64(r.IntN(3))
	}
	return r.Uint64() >> r.IntN(64)
}

// check recomputes the split with math/big and tests every promise.
func check(t *testing.T, total uint64, weights []uint64) {
	t.Helper()
	got := Split(total, weights)
	sum := new(big.Int)
	for _, w := range weights {
		sum.Add(sum, new(big.Int).SetUint64(w))
	}
	if sum.Sign() == 0 {
		if got != nil {
			t.Fatalf("Apportion(%d, %v) = %v, want nil for weights that are all zero", total, weights, got)
		}
		return
	}
	paid := new(big.Int)
	for i, w := range weights {
		paid.Add(paid, new(big.Int).SetUint64(got[i]))
		quota := new(big.Int).Mul(new(big.Int).SetUint64(total), new(big.Int).SetUint64(w))
		quota.Quo(quota, sum)
		over := new(big.Int).Sub(new(big.Int).SetUint64(got[i]), quota)
		if over.Sign() < 0 || over.Cmp(big.NewInt(1)) > 0 {
			t.Fatalf("Apportion(%d, %v)[%d] = %d is not within 1 of its quota %v", total, weights, i, got[i], quota)
		}
		if w == 0 && got[i] != 0 {
			t.Fatalf("Apportion(%d, %v)[%d] = %d for zero weight", total, weights, i, got[i])
		}
		for j, o := range weights {
			if w > o && got[i] < got[j] {
				t.Fatalf("Apportion(%d, %v): weight %d gets %d, less than weight %d with %d", total, weights, w, got[i], o, got[j])
			}
		}
	}
	if paid.Cmp(new(big.Int).SetUint64(total)) != 0 {
		t.Fatalf("Apportion(%d, %v) = %v sums to %v", total, weights, got, paid)
	}
}

func FuzzApportionAgreesWithBigIntegers(f *testing.F) {
	f.Add(uint64(11), []byte{0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 6})
	f.Add(uint64(math.MaxUint64), []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 254})
	f.Fuzz(func(t *testing.T, total uint64, raw []byte) {
		var weights []uint64
		for ; len(raw) >= 8 && len(weights) < 64; raw = raw[8:] {
			weights = append(weights, binary.BigEndian.Uint64(raw))
		}
		check(t, total, weights)
	})
}

func BenchmarkApportionAmong100Topics(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	weights := make([]uint64, 100)
	for i := range weights {
		weights[i] = r.Uint64N(8 << 20)
	}
	for b.Loop() {
		Split(1_000_000_000, weights)
	}
}
