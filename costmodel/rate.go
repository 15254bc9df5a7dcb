package costmodel

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// Rate is a price: an exact fraction of a nano-dollar per base unit (request,
// byte, byte-ms), and its usual text. It is immutable.
type Rate struct {
	perBase *big.Rat
	text    string
}

// String returns the price per commercial unit: 0.02 USD per GB.
func (r Rate) String() string { return r.text }

// Fraction returns the price as numerator and denominator in nano-dollars per
// base unit, in lowest terms, as decimal text.
func (r Rate) Fraction() (num, den string) {
	return r.perBase.Num().String(), r.perBase.Denom().String()
}

// IsFree reports whether the price is 0.
func (r Rate) IsFree() bool { return r.perBase.Sign() == 0 }

// costFloor returns floor(q x rate) in nano-dollars, where baseUnits of q are one
// base unit of the price (nano-requests: 10^9).
func (r Rate) costFloor(q costkeys.Quantity, baseUnits uint64) *big.Int {
	n := new(big.Int).Mul(q.BigInt(), r.perBase.Num())
	return n.Quo(n, new(big.Int).Mul(r.perBase.Denom(), new(big.Int).SetUint64(baseUnits)))
}

// costCeil is costFloor rounded up, for upper bounds.
func (r Rate) costCeil(q costkeys.Quantity, baseUnits uint64) *big.Int {
	n := new(big.Int).Mul(q.BigInt(), r.perBase.Num())
	d := new(big.Int).Mul(r.perBase.Denom(), new(big.Int).SetUint64(baseUnits))
	n.Add(n, new(big.Int).Sub(d, big.NewInt(1)))
	return n.Quo(n, d)
}

// Rate returns the price of a meter at an instant (milliseconds since 1970,
// UTC): storage prices depend on the length of the month. A transfer's price is
// that of both sides together.
func (b *Book) Rate(id costkeys.MeterID, atMS int64) (Rate, error) {
	m, err := b.findMeter(id)
	if err != nil {
		return Rate{}, err
	}
	price := new(big.Rat)
	if m.Meter == costkeys.MeterTransfer {
		pair := new(big.Int).Add(new(big.Int).SetUint64(*m.SrcNanoUSD), new(big.Int).SetUint64(*m.DstNanoUSD))
		price.SetFrac(pair, new(big.Int).SetUint64(m.BaseUnitsPerUnit))
	} else {
		t := m.Tiers[0]
		price.SetFrac(new(big.Int).SetUint64(t.PriceNanoNum), new(big.Int).SetUint64(t.PriceDen))
	}
	discount := ""
	if off := b.percentOff(id); off > 0 {
		price.Mul(price, big.NewRat(100-int64(off), 100))
		discount = fmt.Sprintf(", %d %% off", off)
	}
	perUnit := new(big.Rat).Mul(price, new(big.Rat).SetInt(new(big.Int).SetUint64(m.BaseUnitsPerUnit)))
	perUnit.Mul(perUnit, big.NewRat(1, nanoPerUSD))
	unit := m.Unit
	if unit == "request" { // as price lists have it
		perUnit.Mul(perUnit, big.NewRat(1000, 1))
		unit = "1,000 requests"
	}
	text := formatDecimal(perUnit) + " USD per " + unit
	if m.HoursRule == HoursCalendar {
		hours := monthHours(atMS)
		price.Mul(price, big.NewRat(1, hours*3_600_000))
		text += fmt.Sprintf(" (%d h)", hours)
	}
	return Rate{price, text + discount}, nil
}

// TransferPair returns the list price of moving one unit between two zones, both
// sides together, and how many bytes the unit is.
func (b *Book) TransferPair() (NanoUSD, uint64, error) {
	m, err := b.findMeter(costkeys.MeterTransfer)
	if err != nil {
		return 0, 0, err
	}
	pair, err := toNanoUSD(new(big.Int).Add(new(big.Int).SetUint64(*m.SrcNanoUSD), new(big.Int).SetUint64(*m.DstNanoUSD)))
	return pair, m.BaseUnitsPerUnit, err
}

// monthHours returns the hours of the UTC month that atMS is in.
func monthHours(atMS int64) int64 {
	at := time.UnixMilli(atMS).UTC()
	first := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	return int64(first.AddDate(0, 1, 0).Sub(first) / time.Hour)
}

// NextMonth returns the first millisecond of the UTC month after the one that
// atMS is in: there storage prices change, so statements are cut there.
func NextMonth(atMS int64) int64 {
	at := time.UnixMilli(atMS).UTC()
	return time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
}

// formatDecimal returns a fraction as decimal text, exact where it ends within 12
// decimals, else cut there with an ellipsis.
func formatDecimal(r *big.Rat) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(12), nil)
	whole, rest := new(big.Int).QuoRem(new(big.Int).Mul(r.Num(), scale), r.Denom(), new(big.Int))
	digits := whole.String()
	digits = strings.Repeat("0", max(0, 13-len(digits))) + digits
	cut := len(digits) - 12
	fraction := strings.TrimRight(digits[cut:], "0")
	if rest.Sign() != 0 {
		return digits[:cut] + "." + digits[cut:] + "…"
	}
	if fraction == "" {
		return digits[:cut]
	}
	return digits[:cut] + "." + fraction
}
