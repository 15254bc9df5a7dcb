package costkeys

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strings"
)

// Quantity is an unsigned 128-bit integer, Hi x 2^64 + Lo, in the unit of its
// component.
type Quantity struct{ Hi, Lo uint64 }

// NanoRequests is how many nano-requests one request is.
const NanoRequests = 1_000_000_000

// ErrQuantityRange is returned for a sum of quantities that exceeds 128 bits.
var ErrQuantityRange = errors.New("quantity does not fit 128 bits: the usage is not plausible")

// Units returns n as a quantity.
func Units(n uint64) Quantity { return Quantity{Lo: n} }

// Requests returns n whole requests as nano-requests.
func Requests(n uint64) Quantity { return Product(n, NanoRequests) }

// Product returns a x b.
func Product(a, b uint64) Quantity {
	hi, lo := bits.Mul64(a, b)
	return Quantity{hi, lo}
}

// Add returns q + o. What the ledger books does not overflow 128 bits: it would
// take 10^20 bytes stored for 10^11 years. Sums of unchecked input use CheckedAdd.
func (q Quantity) Add(o Quantity) Quantity {
	lo, carry := bits.Add64(q.Lo, o.Lo, 0)
	hi, _ := bits.Add64(q.Hi, o.Hi, carry)
	return Quantity{hi, lo}
}

// CheckedAdd returns q + o, or ErrQuantityRange.
func (q Quantity) CheckedAdd(o Quantity) (Quantity, error) {
	lo, carry := bits.Add64(q.Lo, o.Lo, 0)
	hi, over := bits.Add64(q.Hi, o.Hi, carry)
	if over != 0 {
		return Quantity{}, ErrQuantityRange
	}
	return Quantity{hi, lo}, nil
}

// IsZero reports whether q is nothing.
func (q Quantity) IsZero() bool { return q == Quantity{} }

// String returns all decimal digits of q.
func (q Quantity) String() string { return q.BigInt().String() }

// ParseQuantity reads what String wrote.
func ParseQuantity(text string) (Quantity, error) {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || strings.Trim(text, "0123456789") != "" || n.BitLen() > 128 {
		return Quantity{}, fmt.Errorf("parse quantity %q: want decimal digits below 2^128", text)
	}
	return Quantity{Hi: new(big.Int).Rsh(n, 64).Uint64(), Lo: new(big.Int).And(n, new(big.Int).SetUint64(1<<64-1)).Uint64()}, nil
}

// BigInt returns q as a big integer of its own.
func (q Quantity) BigInt() *big.Int {
	n := new(big.Int).SetUint64(q.Hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(q.Lo))
}

// Unit is what a quantity counts.
type Unit string

// The units of the ledger. Requests are in billionths because one PUT is
// shared by the topics of its object; storage is bytes over milliseconds.
const (
	UnitNanoRequests Unit = "nano-requests"
	UnitBytes        Unit = "bytes"
	UnitByteMS       Unit = "byte-ms"
	UnitRecords      Unit = "records"
	// UnitBytesWritten is the unit of a report's row that mixes components with
	// different units: its quantity is the record bytes written that it contains.
	UnitBytesWritten Unit = "bytes written"
)

// Human returns the quantity as people read it, exactly where that is short
// and cut (never rounded up) to three decimals otherwise: 31.536 requests,
// 12.500 MiB, 3.250 GiB-hours, 1,200 records.
func (u Unit) Human(q Quantity) string {
	switch u {
	case UnitNanoRequests:
		return formatScaled(q, big.NewInt(NanoRequests)) + " requests"
	case UnitBytes:
		return formatBinary(q, 1, "")
	case UnitBytesWritten:
		return formatBinary(q, 1, " written")
	case UnitByteMS:
		return formatBinary(q, 3_600_000, "-hours")
	case UnitRecords:
		return GroupThousands(q.String()) + " records"
	}
	return q.String() + " " + string(u)
}

// formatBinary picks the largest binary prefix that leaves a number above 1.
func formatBinary(q Quantity, divisor int64, suffix string) string {
	names := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	unit, next := big.NewInt(divisor), big.NewInt(divisor<<10)
	i := 0
	for i < len(names)-1 && q.BigInt().Cmp(next) >= 0 {
		unit, next = next, new(big.Int).Lsh(next, 10)
		i++
	}
	if i == 0 && divisor == 1 {
		return q.String() + " B" + suffix
	}
	return formatScaled(q, unit) + " " + names[i] + suffix
}

// formatScaled returns q/unit with up to three decimals, cut; a quantity that would
// show as 0 though it is not says "<0.001".
func formatScaled(q Quantity, unit *big.Int) string {
	whole, rest := new(big.Int).QuoRem(q.BigInt(), unit, new(big.Int))
	milli := new(big.Int).Quo(rest.Mul(rest, big.NewInt(1000)), unit).Uint64()
	if whole.Sign() == 0 && milli == 0 && !q.IsZero() {
		return "<0.001"
	}
	text := GroupThousands(whole.String())
	if milli == 0 {
		return text
	}
	return strings.TrimRight(fmt.Sprintf("%s.%03d", text, milli), "0")
}

// GroupThousands puts commas into a string of digits.
func GroupThousands(digits string) string {
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
