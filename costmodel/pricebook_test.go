package costmodel

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/costkeys"
)

func book(t testing.TB) *Book {
	t.Helper()
	b, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ms(t testing.TB, date string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, date)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}

// I11: every price is the exact fraction of the provider's decimal.
func TestEveryPriceOfTheEmbeddedBookIsAnExactFraction(t *testing.T) {
	b := book(t)
	for _, c := range []struct {
		meter          costkeys.MeterID
		num, den, text string
	}{
		{costkeys.MeterPut, "5000", "1", "0.005 USD per 1,000 requests"},
		{costkeys.MeterGet, "400", "1", "0.0004 USD per 1,000 requests"},
		{costkeys.MeterList, "5000", "1", "0.005 USD per 1,000 requests"},
		{costkeys.MeterDelete, "0", "1", "0 USD per 1,000 requests"},
		{costkeys.MeterTransfer, "78125", "4194304", "0.02 USD per GB"}, // 20,000,000 / 2^30
		{costkeys.MeterStorage, "115", "14379550507008", "0.023 USD per GB-month (744 h)"},
		{costkeys.MeterXPut, "1130", "1", "0.00113 USD per 1,000 requests"},
		{costkeys.MeterXGet, "30", "1", "0.00003 USD per 1,000 requests"},
		{costkeys.MeterXUpload, "3125", "1048576", "0.0032 USD per GB"},
		{costkeys.MeterXRetrieval, "9375", "16777216", "0.0006 USD per GB"},
	} {
		rate, err := b.Rate(c.meter, ms(t, "2026-10-05T00:00:00Z"))
		if err != nil {
			t.Fatal(err)
		}
		num, den := rate.Fraction()
		if c.meter == costkeys.MeterStorage { // 23,000,000 / (2^30 x 744 x 3,600,000) in lowest terms
			if got := rate.costFloor(costkeys.Product(1<<30, 744*3_600_000), 1); got.String() != "23000000" {
				t.Errorf("a GiB for a 31-day month costs %s nano-dollars", got)
			}
		}
		if num != c.num || den != c.den || rate.String() != c.text {
			t.Errorf("%s is %s/%s %q, want %s/%s %q", c.meter, num, den, rate, c.num, c.den, c.text)
		}
	}
	for date, want := range map[string]string{"2026-02-28T23:59:59Z": "(672 h)", "2028-02-01T00:00:00Z": "(696 h)", "2026-11-23T00:00:00Z": "(720 h)"} {
		if rate, err := b.Rate(costkeys.MeterStorage, ms(t, date)); err != nil || !strings.HasSuffix(rate.String(), want) {
			t.Errorf("storage at %s: %q, %v, want %s", date, rate, err, want)
		}
	}
}

func TestABooksIdCarriesTheHashOfItsFile(t *testing.T) {
	raw, err := os.ReadFile(defaultBook)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Load(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load(bytes.NewReader(append(raw, '\n')))
	if err != nil {
		t.Fatal(err)
	}
	if a.ID() == b.ID() || !strings.HasPrefix(a.ID(), "aws-us-east-1-2026-07-20@sha256:") || len(a.Hash()) != 64 {
		t.Errorf("ids %q and %q of different files", a.ID(), b.ID())
	}
	if a.ID() != book(t).ID() {
		t.Errorf("the embedded book has id %q, its file %q", book(t).ID(), a.ID())
	}
}

func TestADamagedBookIsRefusedWithTheNameOfTheField(t *testing.T) {
	raw, err := os.ReadFile(defaultBook)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, replacement, want string }{
		{`"id": "aws-us-east-1-2026-07-20"`, `"id": ""`, "id is empty"},
		{`"currency": "USD"`, `"currency": "EUR"`, "currency"},
		{`"published_at": "2026-07-20"`, `"published_at": "July"`, "published_at"},
		{`"source_url": "https`, `"source": "https`, `unknown field "source"`},
		{`"meter": "s3.list"`, `"meter": "s3.put"`, "listed twice"},
		{`"meter": "s3.list"`, `"meter": "s3.lists"`, "s3.list is missing"},
		{`"price_den": 1`, `"price_den": 0`, "price_den is 0"},
		{`"price_nano_num": 5000`, `"price_nano_num": 5.5`, "price_nano_num"},
		{`"price_nano_num": 5000`, `"price_nano_num": -5`, "price_nano_num"},
		{`"from": 0`, `"from": 1`, "tiers: want exactly one"},
		{`"src_nano_usd": 10000000,`, ``, "src_nano_usd"},
		{`"base_units_per_unit": 1073741824`, `"base_units_per_unit": 0`, "base_units_per_unit is 0"},
		{`"hours_rule": "calendar-month"`, `"hours_rule": "none"`, "hours_rule"},
		{`"hours_rule": "calendar-month"`, `"hours_rule": "730"`, "hours_rule"},
		{`"discounts": []`, `"discounts": [{"meter": "s3.put", "percent": 101, "label": "x"}]`, "discounts[0]"},
		{`"discounts": []`, `"discounts": [{"meter": "nope", "percent": 1, "label": "x"}]`, "discounts[0]"},
		{`"discounts": []`, `"discounts": []} {`, "more than one JSON value"},
	} {
		damaged := strings.Replace(string(raw), c.old, c.replacement, 1)
		if damaged == string(raw) {
			t.Fatalf("the book has no %q", c.old)
		}
		if _, err := Load(strings.NewReader(damaged)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s -> %s: error %v, want one with %q", c.old, c.replacement, err, c.want)
		}
	}
	if _, err := Load(strings.NewReader(strings.Repeat(" ", maxBookBytes+1))); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a huge book: %v", err)
	}
}

func TestADiscountLowersThePriceExactly(t *testing.T) {
	raw, err := os.ReadFile(defaultBook)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), `"discounts": []`, `"discounts": [{"meter": "s3.put", "percent": 7, "label": "EDP"}]`, 1)
	b, err := Load(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	rate, err := b.Rate(costkeys.MeterPut, 0)
	if err != nil {
		t.Fatal(err)
	}
	if num, den := rate.Fraction(); num != "4650" || den != "1" || rate.String() != "0.00465 USD per 1,000 requests, 7 % off" {
		t.Errorf("PUT at 7 %% off is %s/%s %q", num, den, rate)
	}
}

func FuzzLoadNeverPanicsAndAcceptsOnlyUsableBooks(f *testing.F) {
	raw, err := os.ReadFile(defaultBook)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"id":"x"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := Load(bytes.NewReader(raw))
		if err != nil {
			return
		}
		for _, id := range b.MeterIDs() {
			if _, err := b.Rate(id, 1_800_000_000_000); err != nil {
				t.Fatalf("a valid book has no rate for %s: %v", id, err)
			}
		}
	})
}
