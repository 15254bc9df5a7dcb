package costmodel

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// NanoUSD is an amount of money in billionths of a US dollar; 64 bits hold
// $9.2e9.
type NanoUSD int64

// nanoPerUSD is how many nano-dollars one dollar is.
const nanoPerUSD = 1_000_000_000

// ErrMoneyRange means that an amount does not fit 64 bits of nano-dollars.
var ErrMoneyRange = errors.New("amount is outside the range of nano-dollars in 64 bits (about $9.2e9): use a shorter window")

// String returns the amount in dollars with all nine decimals: -1.500000000.
func (m NanoUSD) String() string {
	sign, n := "", uint64(m)
	if m < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%09d", sign, n/nanoPerUSD, n%nanoPerUSD)
}

// Dollars returns the amount rounded half away from zero to the given number
// of decimals (0 to 9), with a dollar sign and thousands separators: $24,192.00.
func (m NanoUSD) Dollars(decimals int) string {
	decimals = min(max(decimals, 0), 9)
	unit := uint64(1)
	for range 9 - decimals {
		unit *= 10
	}
	sign, n := "", uint64(m)
	if m < 0 {
		sign, n = "-", -n
	}
	n = (n + unit/2) / unit
	if n == 0 {
		sign = ""
	}
	scale := nanoPerUSD / unit
	text := sign + "$" + costkeys.GroupThousands(strconv.FormatUint(n/scale, 10))
	if decimals > 0 {
		text += fmt.Sprintf(".%0*d", decimals, n%scale)
	}
	return text
}

// Add returns m + o, or ErrMoneyRange.
func (m NanoUSD) Add(o NanoUSD) (NanoUSD, error) {
	if o > 0 && m > math.MaxInt64-o || o < 0 && m < math.MinInt64-o {
		return 0, fmt.Errorf("add %s and %s: %w", m, o, ErrMoneyRange)
	}
	return m + o, nil
}

// ParseNanoUSD reads an amount of dollars such as 12, -0.5 or 0.000005. More
// than nine decimals are an error, never rounded.
func ParseNanoUSD(text string) (NanoUSD, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, hasPoint := strings.Cut(digits, ".")
	if whole == "" || hasPoint && fraction == "" || len(fraction) > 9 || !allDigits(whole+fraction) {
		return 0, fmt.Errorf("parse amount %q: want dollars with at most nine decimals, like 0.000005", text)
	}
	n, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", 9-len(fraction)), 10)
	if ok && negative {
		n.Neg(n)
	}
	if !ok || !n.IsInt64() {
		return 0, fmt.Errorf("parse amount %q: %w", text, ErrMoneyRange)
	}
	return NanoUSD(n.Int64()), nil
}

func allDigits(text string) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
