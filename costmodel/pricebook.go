package costmodel

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// HoursRule is the length of the month of a price "per unit and month".
type HoursRule string

// The rules: a price without time; a month of its real hours (672 to 744).
const (
	HoursNone     HoursRule = "none"
	HoursCalendar HoursRule = "calendar-month"
)

// Tier is one price step: from this many units a month on, PriceNanoNum /
// PriceDen nano-dollars per base unit (per base unit and month where the
// meter's hours rule says so).
type Tier struct {
	From         uint64 `json:"from"`
	PriceNanoNum uint64 `json:"price_nano_num"`
	PriceDen     uint64 `json:"price_den"`
}

// Meter is one line of a price book. A transfer meter has a pair of prices,
// each in nano-dollars per unit: what the sender's and what the receiver's side
// is charged. Every other meter has one tier.
type Meter struct {
	Meter               costkeys.MeterID `json:"meter"`
	UsageType           string           `json:"usage_type"`
	Unit                string           `json:"unit"`
	BaseUnitsPerUnit    uint64           `json:"base_units_per_unit"`
	HoursRule           HoursRule        `json:"hours_rule"`
	FreeBytesPerRequest uint64           `json:"free_bytes_per_request,omitempty"`
	SKU                 string           `json:"sku,omitempty"`
	RateCode            string           `json:"rate_code,omitempty"`
	SrcNanoUSD          *uint64          `json:"src_nano_usd,omitempty"`
	DstNanoUSD          *uint64          `json:"dst_nano_usd,omitempty"`
	Tiers               []Tier           `json:"tiers,omitempty"`
	Note                string           `json:"note,omitempty"`
}

// Discount takes whole percents off one meter.
type Discount struct {
	Meter   costkeys.MeterID `json:"meter"`
	Percent uint64           `json:"percent"`
	Label   string           `json:"label"`
}

// Book is a dated price list of one provider and region. It is immutable after
// Load and safe to share.
type Book struct {
	Name        string     `json:"id"`
	Provider    string     `json:"provider"`
	Region      string     `json:"region"`
	Currency    string     `json:"currency"`
	PublishedAt string     `json:"published_at"` // YYYY-MM-DD
	SourceURL   string     `json:"source_url"`
	Note        string     `json:"note,omitempty"`
	Meters      []Meter    `json:"meters"`
	Discounts   []Discount `json:"discounts"`

	hash string // sha256 of the file, hexadecimal
}

// maxBookBytes bounds a price book file: a few dozen meters are a few KiB.
const maxBookBytes = 1 << 20

//go:embed prices/*.json
var embedded embed.FS

// defaultBook is the embedded book that Default returns: the newest one.
const defaultBook = "prices/aws-us-east-1-2026-07-20.json"

// Default returns the price book built into the program: AWS us-east-1.
func Default() (*Book, error) {
	raw, err := embedded.ReadFile(defaultBook)
	if err != nil {
		return nil, fmt.Errorf("read the embedded price book: %w", err)
	}
	return Load(bytes.NewReader(raw))
}

// Load reads and validates a price book. Its errors name the field at fault
// and what to do. An unknown field is an error: a misspelt price must not
// become a price of zero.
func Load(r io.Reader) (*Book, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxBookBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read price book: %w", err)
	}
	if len(raw) > maxBookBytes {
		return nil, fmt.Errorf("read price book: larger than %d bytes; give one region's book, not a provider's bulk file", maxBookBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	b := new(Book)
	if err := decoder.Decode(b); err != nil {
		return nil, fmt.Errorf("decode price book: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decode price book: more than one JSON value; give exactly one object")
	}
	if err := b.Validate(); err != nil {
		return nil, fmt.Errorf("validate price book %q: %w", b.Name, err)
	}
	sum := sha256.Sum256(raw)
	b.hash = hex.EncodeToString(sum[:])
	return b, nil
}

// ID returns the book's name and the first 12 digits of its file's SHA-256, so
// that an edited book never passes for the original.
func (b *Book) ID() string { return b.Name + "@sha256:" + b.hash[:min(12, len(b.hash))] }

// Hash returns the SHA-256 of the file the book was read from, in hexadecimal.
func (b *Book) Hash() string { return b.hash }

// findMeter returns a meter of the book, or an error that names it.
func (b *Book) findMeter(id costkeys.MeterID) (*Meter, error) {
	for i := range b.Meters {
		if b.Meters[i].Meter == id {
			return &b.Meters[i], nil
		}
	}
	return nil, fmt.Errorf("price book %s has no meter %q: add it to the file", b.Name, id)
}

// percentOff returns the sum of the discounts of a meter.
func (b *Book) percentOff(id costkeys.MeterID) uint64 {
	var off uint64
	for _, d := range b.Discounts {
		if d.Meter == id {
			off += d.Percent
		}
	}
	return off
}

// Validate checks every field that a price depends on.
func (b *Book) Validate() error {
	for _, f := range []struct{ field, value string }{
		{"id", b.Name}, {"provider", b.Provider}, {"region", b.Region}, {"source_url", b.SourceURL},
	} {
		if f.value == "" {
			return fmt.Errorf("%s is empty: set it, every amount shows the source of its price", f.field)
		}
	}
	if b.Currency != "USD" {
		return fmt.Errorf("currency is %q: only USD books can be used, convert the prices", b.Currency)
	}
	if _, err := time.Parse(time.DateOnly, b.PublishedAt); err != nil {
		return fmt.Errorf("published_at is %q: want a date like 2026-07-20", b.PublishedAt)
	}
	seen := map[costkeys.MeterID]bool{}
	for i := range b.Meters {
		m := &b.Meters[i]
		if err := m.validate(); err != nil {
			return fmt.Errorf("meters[%d] (%s): %w", i, m.Meter, err)
		}
		if seen[m.Meter] {
			return fmt.Errorf("meters[%d]: %s is listed twice: keep one", i, m.Meter)
		}
		seen[m.Meter] = true
	}
	for _, id := range costkeys.RequiredMeters() {
		if !seen[id] {
			return fmt.Errorf("meters: %s is missing: add it, with price 0 if it is free", id)
		}
	}
	for i, d := range b.Discounts {
		if !seen[d.Meter] || d.Label == "" || b.percentOff(d.Meter) > 100 {
			return fmt.Errorf("discounts[%d]: want a meter of this book, a label, and at most 100 percent per meter in all", i)
		}
	}
	return nil
}

func (m *Meter) validate() error {
	switch {
	case m.Meter == "":
		return errors.New("meter is empty: name what is charged for")
	case m.UsageType == "":
		return errors.New("usage_type is empty: give the usage type that the bill shows")
	case m.Unit == "":
		return errors.New("unit is empty: give the provider's unit, like GB")
	case m.BaseUnitsPerUnit == 0:
		return errors.New("base_units_per_unit is 0: say how many bytes or requests one unit is")
	case m.HoursRule != HoursNone && m.HoursRule != HoursCalendar:
		return fmt.Errorf("hours_rule is %q: want %q or %q", m.HoursRule, HoursNone, HoursCalendar)
	}
	if isStorage := m.Meter == costkeys.MeterStorage || m.Meter == costkeys.MeterXStorage; isStorage != (m.HoursRule == HoursCalendar) {
		return fmt.Errorf("hours_rule is %q: storage is priced per month (%q), everything else is not", m.HoursRule, HoursCalendar)
	}
	if m.Meter == costkeys.MeterTransfer {
		if m.SrcNanoUSD == nil || m.DstNanoUSD == nil || len(m.Tiers) != 0 {
			return errors.New("src_nano_usd, dst_nano_usd: a transfer has a price for each side (0 where free) and no tiers")
		}
		return nil
	}
	if m.SrcNanoUSD != nil || m.DstNanoUSD != nil {
		return errors.New("src_nano_usd, dst_nano_usd: only a transfer has sides, use tiers")
	}
	if len(m.Tiers) != 1 || m.Tiers[0].From != 0 {
		return errors.New("tiers: want exactly one, from 0: prices are taken at one step, keep the one your account is in")
	}
	if m.Tiers[0].PriceDen == 0 {
		return errors.New("tiers[0].price_den is 0: it divides the price, use 1 for whole nano-dollars")
	}
	return nil
}

// MeterIDs returns the book's meters in order of their names.
func (b *Book) MeterIDs() []costkeys.MeterID {
	var ids []costkeys.MeterID
	for i := range b.Meters {
		ids = append(ids, b.Meters[i].Meter)
	}
	slices.Sort(ids)
	return ids
}
