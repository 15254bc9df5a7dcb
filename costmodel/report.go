package costmodel

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// Dimension is something that a report is grouped by.
type Dimension string

// The dimensions. Zone is a pair: where a transfer came from and went to.
const (
	ByTopic     Dimension = "topic"
	ByZone      Dimension = "zone"
	ByComponent Dimension = "component"
	ByPrincipal Dimension = "principal"
	ByGroup     Dimension = "group"
)

// ParseDimensions reads a list such as "topic,component".
func ParseDimensions(text string) ([]Dimension, error) {
	var out []Dimension
	for _, part := range strings.Split(text, ",") {
		d := Dimension(strings.TrimSpace(part))
		switch d {
		case ByTopic, ByZone, ByComponent, ByPrincipal, ByGroup:
		default:
			return nil, fmt.Errorf("cannot group by %q: want any of topic, zone, component, principal, group, separated by commas", part)
		}
		if slices.Contains(out, d) {
			return nil, fmt.Errorf("cannot group by %q twice", part)
		}
		out = append(out, d)
	}
	return out, nil
}

// Row is one line of a report. Fields of dimensions that it is not grouped by
// are empty.
type Row struct {
	Key
	Quantity   costkeys.Quantity
	Unit       costkeys.Unit
	Price      string
	NanoUSD    NanoUSD
	UpperBound NanoUSD
}

// Report is a statement grouped by some dimensions. Its rows sum to its meters
// and to the total, whatever they are.
type Report struct {
	Window       Window
	AsOfRevision int64
	PriceBook    string // Book.ID
	Published    string
	SourceURL    string
	Currency     string
	By           []Dimension
	Rows         []Row
	Meters       []MeterLine
	Total        NanoUSD
	UpperBound   NanoUSD // of what unknown zones may add
	GapsMS       int64
}

// Report groups the statement. Rows are ordered by the money of their first
// dimension, then by their own, reserved rows last; grouped by topic, every
// reserved row is there, also when it is zero.
func (s *Statement) Report(by ...Dimension) Report {
	groups := map[Key]*rowSum{}
	for i := range s.Lines {
		line := &s.Lines[i]
		key := projectKey(line.Key, by)
		g := groups[key]
		if g == nil {
			g = &rowSum{Row: Row{Key: key, Unit: line.Unit, Price: line.Price}, samePrice: true, sameUnit: true, component: line.Component}
			groups[key] = g
		}
		g.addLine(line)
	}
	if slices.Contains(by, ByTopic) {
		addReserved(groups)
	}
	r := Report{
		Window: s.Window, AsOfRevision: s.AsOfRevision, PriceBook: s.Book.ID(), Published: s.Book.PublishedAt,
		SourceURL: s.Book.SourceURL, Currency: s.Book.Currency, By: by, Meters: s.Meters, Total: s.Total,
		UpperBound: s.UpperBound, GapsMS: s.GapsMS,
	}
	for _, key := range slices.SortedFunc(maps.Keys(groups), Key.compareTo) {
		r.Rows = append(r.Rows, groups[key].toRow())
	}
	sortRows(r.Rows, by)
	return r
}

// projectKey keeps the fields of a key that a report is grouped by.
func projectKey(k Key, by []Dimension) Key {
	var out Key
	for _, d := range by {
		switch d {
		case ByTopic:
			out.TopicID, out.Topic = k.TopicID, k.Topic
		case ByZone:
			out.Src, out.Dst = k.Src, k.Dst
		case ByComponent:
			out.Component = k.Component
		case ByPrincipal:
			out.Principal = k.Principal
		case ByGroup:
			out.Group = k.Group
		}
	}
	return out
}

// addReserved adds the reserved rows that have no usage.
func addReserved(groups map[Key]*rowSum) {
	present := map[string]bool{}
	for k := range groups {
		present[k.Topic] = true
	}
	for _, row := range costkeys.Rows() {
		if name := row.String(); !present[name] {
			key := Key{TopicID: name, Topic: name}
			groups[key] = &rowSum{Row: Row{Key: key, Unit: costkeys.UnitBytes, Price: "nothing booked"}, samePrice: true, sameUnit: true}
		}
	}
}

// rowSum adds lines up into a row.
type rowSum struct {
	Row
	written             costkeys.Quantity
	component           costkeys.Component // of the first line
	samePrice, sameUnit bool
	mixed               bool // more than one component
}

// addLine cannot pass 128 bits or 64 bits of money: every sum here is part of a
// meter's or the total's sum, which Bill has checked.
func (g *rowSum) addLine(line *Line) {
	g.Quantity = g.Quantity.Add(line.Quantity)
	if line.Component == costkeys.ComponentBytesIn {
		g.written = g.written.Add(line.Quantity)
	}
	g.NanoUSD += line.NanoUSD
	g.UpperBound += line.UpperBound
	g.mixed = g.mixed || g.component != line.Component
	g.sameUnit = g.sameUnit && g.Unit == line.Unit
	g.samePrice = g.samePrice && g.Price == line.Price
}

// toRow gives a row of several units or prices a quantity and a price that
// still mean something.
func (g *rowSum) toRow() Row {
	row := g.Row
	switch {
	case !g.sameUnit || g.mixed && !g.written.IsZero():
		row.Quantity, row.Unit, row.Price = g.written, costkeys.UnitBytesWritten, "several, group by component"
		if !g.written.IsZero() {
			row.Price = "blended " + PerGiB(g.NanoUSD, g.written).String() + " USD per GiB written"
		}
	case !g.samePrice && g.mixed:
		row.Price = "several, group by component"
	case !g.samePrice:
		row.Price = "several, group by zone"
	}
	return row
}

// PerGiB returns money per 2^30 bytes, cut to whole nano-dollars; 0 for no bytes
// and where it would not fit.
func PerGiB(money NanoUSD, bytes costkeys.Quantity) NanoUSD {
	if bytes.IsZero() {
		return 0
	}
	n := new(big.Int).Mul(big.NewInt(int64(money)), big.NewInt(gib))
	unit, err := toNanoUSD(n.Quo(n, bytes.BigInt()))
	if err != nil {
		return 0
	}
	return unit
}

// sortRows orders rows for people: dearest first, groups of the first dimension
// together, reserved rows at the end.
func sortRows(rows []Row, by []Dimension) {
	if len(by) == 0 {
		return
	}
	sums := map[Key]NanoUSD{}
	for _, r := range rows {
		sums[projectKey(r.Key, by[:1])] += r.NanoUSD
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		ka, kb := projectKey(a.Key, by[:1]), projectKey(b.Key, by[:1])
		return cmp.Or(
			cmp.Compare(costkeys.RowOf(a.Topic), costkeys.RowOf(b.Topic)),
			cmp.Compare(sums[kb], sums[ka]), ka.compareTo(kb),
			cmp.Compare(b.NanoUSD, a.NanoUSD), a.Key.compareTo(b.Key))
	})
}

// Written returns the record bytes written in the statement's window.
func (s *Statement) Written() costkeys.Quantity { return s.Of(costkeys.ComponentBytesIn) }

// Of sums the quantity of one component over all lines.
func (s *Statement) Of(c costkeys.Component) costkeys.Quantity {
	var sum costkeys.Quantity
	for i := range s.Lines {
		if s.Lines[i].Component == c {
			sum = sum.Add(s.Lines[i].Quantity) // checked by Bill
		}
	}
	return sum
}

// PerGiBWritten returns the whole cost per GiB of record bytes written, or
// false where nothing was written.
func (s *Statement) PerGiBWritten() (NanoUSD, bool) {
	written := s.Written()
	return PerGiB(s.Total, written), !written.IsZero()
}
