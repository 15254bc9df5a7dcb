package apportion

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Scaling every weight by 2^64 changes no quota, so both must agree.
func TestWideWeightsSplitLikeTheirNarrowMultiples(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		narrow := make([]uint64, 1+r.IntN(9))
		same, scaled := make([]Weight, len(narrow)), make([]Weight, len(narrow))
		for i := range narrow {
			narrow[i] = pick(r)
			same[i], scaled[i] = Weight{Lo: narrow[i]}, Weight{Hi: narrow[i]}
		}
		total := pick(r)
		want := Split(total, narrow)
		if got := SplitWide(total, same); !slices.Equal(got, want) {
			t.Fatalf("ApportionWide(%d, %v) = %v, want %v", total, same, got, want)
		}
		if got := SplitWide(total, scaled); !slices.Equal(got, want) {
			t.Fatalf("ApportionWide(%d, %v) = %v, want %v", total, scaled, got, want)
		}
	}
}

func TestWideSplitIsExactWhereWeightsDifferInBothWords(t *testing.T) {
	got := SplitWide(10, []Weight{{1, 0}, {0, 1}, {3, 0}, {}})
	if want := []uint64{3, 0, 7, 0}; !slices.Equal(got, want) {
		t.Fatalf("ApportionWide = %v, want %v", got, want)
	}
}
