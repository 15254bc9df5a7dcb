package costmodel

import (
	"errors"
	"math"
	"testing"

	"github.com/zonewise/zonewise/internal/costkeys"
)

func TestMoneyRoundTripsAsDecimalText(t *testing.T) {
	for _, c := range []struct {
		money NanoUSD
		text  string
	}{
		{0, "0.000000000"}, {1, "0.000000001"}, {-1, "-0.000000001"}, {24_192_000_000_000, "24192.000000000"},
		{math.MaxInt64, "9223372036.854775807"}, {math.MinInt64, "-9223372036.854775808"},
	} {
		if got := c.money.String(); got != c.text {
			t.Errorf("%d.String() = %q, want %q", int64(c.money), got, c.text)
		}
		if got, err := ParseNanoUSD(c.text); err != nil || got != c.money {
			t.Errorf("ParseNanoUSD(%q) = %d, %v", c.text, int64(got), err)
		}
	}
	for _, bad := range []string{"", "-", ".5", "1.", "1.0000000001", "1e3", "+1", "--1", "1,000", "9223372036.854775808", " 1"} {
		if got, err := ParseNanoUSD(bad); err == nil {
			t.Errorf("ParseNanoUSD(%q) = %s, want an error", bad, got)
		}
	}
}

func TestMoneyAdditionRefusesToWrap(t *testing.T) {
	for _, c := range [][2]NanoUSD{{math.MaxInt64, 1}, {math.MinInt64, -1}} {
		if got, err := c[0].Add(c[1]); !errors.Is(err, ErrMoneyRange) {
			t.Errorf("%s + %s = %s, %v", c[0], c[1], got, err)
		}
	}
	if got, err := NanoUSD(math.MaxInt64).Add(math.MinInt64); err != nil || got != -1 {
		t.Errorf("max + min = %s, %v", got, err)
	}
}

func TestDollarsRoundHalfAwayFromZero(t *testing.T) {
	for _, c := range []struct {
		money    NanoUSD
		decimals int
		want     string
	}{
		{24_192_000_000_000, 2, "$24,192.00"}, {5_000_000, 2, "$0.01"}, {4_999_999, 2, "$0.00"}, {-5_000_000, 2, "-$0.01"},
		{-1, 2, "$0.00"}, {1_234_567_890_123_456, 0, "$1,234,568"}, {157_680, 9, "$0.000157680"}, {999_999_999, 2, "$1.00"},
	} {
		if got := c.money.Dollars(c.decimals); got != c.want {
			t.Errorf("%d.Dollars(%d) = %s, want %s", int64(c.money), c.decimals, got, c.want)
		}
	}
}

func TestQuantitiesAreReadableAndNeverOverstated(t *testing.T) {
	for _, c := range []struct {
		unit costkeys.Unit
		q    costkeys.Quantity
		want string
	}{
		{costkeys.UnitNanoRequests, costkeys.Units(31_536_000_000), "31.536 requests"}, {costkeys.UnitNanoRequests, costkeys.Units(1), "<0.001 requests"},
		{costkeys.UnitBytes, costkeys.Units(1023), "1023 B"}, {costkeys.UnitBytes, costkeys.Units(1 << 30), "1 GiB"}, {costkeys.UnitBytes, costkeys.Units(1<<30 - 1), "1,023.999 MiB"},
		{costkeys.UnitByteMS, costkeys.Product(1<<30, 3_600_000), "1 GiB-hours"}, {costkeys.UnitRecords, costkeys.Units(1_234_567), "1,234,567 records"},
	} {
		if got := c.unit.Human(c.q); got != c.want {
			t.Errorf("%s.Human(%s) = %q, want %q", c.unit, c.q, got, c.want)
		}
	}
}

func TestQuantitiesRoundTripAndRefuseToWrap(t *testing.T) {
	top := costkeys.Quantity{Hi: math.MaxUint64, Lo: math.MaxUint64}
	for _, q := range []costkeys.Quantity{{}, costkeys.Units(7), {Hi: 1}, top} {
		if got, err := costkeys.ParseQuantity(q.String()); err != nil || got != q {
			t.Errorf("costkeys.ParseQuantity(%s) = %v, %v", q, got, err)
		}
	}
	if _, err := top.CheckedAdd(costkeys.Units(1)); !errors.Is(err, costkeys.ErrQuantityRange) {
		t.Errorf("top + 1: %v", err)
	}
	for _, bad := range []string{"", "-1", "+1", "1_0", "340282366920938463463374607431768211456"} {
		if _, err := costkeys.ParseQuantity(bad); err == nil {
			t.Errorf("costkeys.ParseQuantity(%q) was accepted", bad)
		}
	}
}
