package dashboards

import (
	"fmt"
	"math/big"

	"github.com/zonewise/zonewise/costmodel"
)

// amount is money as the page shows it: cents in full ink and what is below
// them in lighter, so that exact sums stay readable.
type amount struct {
	Main, Rest string // "$1,234.56" and "7890123"
	Exact      string // 1234.567890123
	Zero       bool
}

func exactAmount(m costmodel.NanoUSD) amount {
	text := m.Dollars(9)
	return amount{Main: text[:len(text)-7], Rest: text[len(text)-7:], Exact: m.String(), Zero: m == 0}
}

// formatShort returns money with as many decimals as its size deserves.
func formatShort(m costmodel.NanoUSD) string {
	size := m
	if size < 0 {
		size = -size
	}
	switch {
	case size == 0:
		return "$0"
	case size >= 1_000_000_000:
		return m.Dollars(2)
	case size >= 10_000_000:
		return m.Dollars(4)
	case size >= 100_000:
		return m.Dollars(6)
	}
	return m.Dollars(9)
}

// formatChange is short with a sign that is always there.
func formatChange(m costmodel.NanoUSD) string {
	if m > 0 {
		return "+" + formatShort(m)
	}
	if m == 0 {
		return "no change"
	}
	return "−" + formatShort(-m)
}

// formatPercent returns part of whole with one decimal; "" where either is nothing.
func formatPercent(part, whole costmodel.NanoUSD) string {
	if whole <= 0 || part == 0 {
		return ""
	}
	tenths := mulDiv(int64(part), 1000, int64(whole))
	if tenths == 0 {
		return "<0.1 %"
	}
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

// mulDiv returns floor(n x mul / div) without overflow in between; 0 where the
// result does not fit or div is 0. It is for drawings, not for charges.
func mulDiv(n, mul, div int64) int64 {
	if div == 0 {
		return 0
	}
	product := new(big.Int).Mul(big.NewInt(n), big.NewInt(mul))
	if product.Quo(product, big.NewInt(div)); product.IsInt64() {
		return product.Int64()
	}
	return 0
}
