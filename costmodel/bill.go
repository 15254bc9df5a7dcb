package costmodel

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"math/big"
	"slices"

	"github.com/zonewise/zonewise/internal/apportion"
	"github.com/zonewise/zonewise/internal/costkeys"
)

// Meters that are no line of a price book: transfers that are not charged.
const (
	MeterLocal   costkeys.MeterID = "zone.local"   // both ends in one zone
	MeterUnknown costkeys.MeterID = "zone.unknown" // an end whose zone is not known
	MeterNone    costkeys.MeterID = "none"         // free quantities, kept for unit costs
)

// meterKey is one accumulation of P1: a meter, for transfers by pair of zones.
type meterKey struct {
	meter    costkeys.MeterID
	src, dst string
	unit     costkeys.Unit
}

func (k meterKey) compareTo(o meterKey) int {
	return cmp.Or(cmp.Compare(k.meter, o.meter), cmp.Compare(k.src, o.src), cmp.Compare(k.dst, o.dst), cmp.Compare(k.unit, o.unit))
}

// baseUnits returns how many of the ledger's units one base unit of a price is.
func (k meterKey) baseUnits() uint64 {
	if k.unit == costkeys.UnitNanoRequests {
		return costkeys.NanoRequests
	}
	return 1
}

// meterOf returns the meter that a key is counted by.
func meterOf(k Key, info costkeys.Info) meterKey {
	switch {
	case info.Kind == costkeys.KindFree:
		return meterKey{meter: MeterNone, unit: info.Unit}
	case info.Kind == costkeys.KindMeter:
		return meterKey{meter: info.Meter, unit: info.Unit}
	case k.Src == k.Dst && k.Src != "":
		return meterKey{meter: MeterLocal, unit: info.Unit}
	case k.Src == "" || k.Dst == "":
		return meterKey{meter: MeterUnknown, unit: info.Unit}
	}
	return meterKey{costkeys.MeterTransfer, k.Src, k.Dst, info.Unit}
}

// Bill prices a request. For every window, lines sum to meters and meters to
// the total, exactly.
func Bill(req Request) (*Statement, error) {
	if err := req.validate(); err != nil {
		return nil, fmt.Errorf("bill: %w", err)
	}
	b := &biller{
		book: req.Book, cumulative: map[meterKey]costkeys.Quantity{}, totals: map[meterTotalKey]*MeterLine{},
		out: &Statement{
			Window:       Window{req.Segments[0].Window.FromMS, req.Segments[len(req.Segments)-1].Window.ToMS},
			AsOfRevision: req.AsOfRevision, GapsMS: req.GapsMS, Book: req.Book,
		},
	}
	if err := b.addBefore(req.Before); err != nil {
		return nil, fmt.Errorf("bill: %w", err)
	}
	for i, s := range req.Segments {
		b.out.Segments = append(b.out.Segments, s.Window)
		if err := b.billSegment(i, s); err != nil {
			return nil, fmt.Errorf("bill window %d to %d: %w", s.Window.FromMS, s.Window.ToMS, err)
		}
	}
	b.sortMeters()
	return b.out, nil
}

// biller carries the cumulative quantities from segment to segment.
type biller struct {
	book       *Book
	cumulative map[meterKey]costkeys.Quantity
	totals     map[meterTotalKey]*MeterLine
	out        *Statement
}

// meterTotalKey separates a meter's sums by price: a window over two months has
// two lines for storage.
type meterTotalKey struct {
	meterKey
	price string
}

// addBefore sets the cumulative quantities to what came before the statement.
func (b *biller) addBefore(before []Usage) error {
	rows, err := mergeUsage(before)
	if err != nil {
		return err
	}
	groups, err := b.groupByMeter(rows)
	if err != nil {
		return err
	}
	for key, rows := range groups {
		if b.cumulative[key], err = sumUsage(rows); err != nil {
			return err
		}
	}
	return nil
}

// groupByMeter sorts rows into the meters that count them.
func (b *biller) groupByMeter(rows []Usage) (map[meterKey][]Usage, error) {
	groups := map[meterKey][]Usage{}
	for _, r := range rows {
		info, ok := r.Component.Info()
		if !ok {
			return nil, fmt.Errorf("component %q is unknown to this version: it has no price; upgrade the reader of this ledger", r.Component)
		}
		if (info.Kind == costkeys.KindFree || info.Kind == costkeys.KindMeter) && r.Dst == "" {
			r.Dst = r.Src // what happens in a zone stays in it; only a transfer's end can be unknown
		}
		key := meterOf(r.Key, info)
		groups[key] = append(groups[key], r)
	}
	return groups, nil
}

// billSegment prices one stretch: P1 per meter, then P2 over the meter's rows.
func (b *biller) billSegment(index int, s Segment) error {
	rows, err := mergeUsage(s.Usage)
	if err != nil {
		return err
	}
	groups, err := b.groupByMeter(rows)
	if err != nil {
		return err
	}
	for _, key := range slices.SortedFunc(maps.Keys(groups), meterKey.compareTo) {
		if err := b.billMeter(index, s.Window, key, groups[key]); err != nil {
			return err
		}
	}
	return nil
}

// billMeter prices the rows of one meter in one segment.
func (b *biller) billMeter(index int, w Window, key meterKey, rows []Usage) error {
	rate, err := b.rateOf(key, w.FromMS)
	if err != nil {
		return err
	}
	quantity, err := sumUsage(rows)
	if err != nil {
		return err
	}
	before := b.cumulative[key]
	after, err := before.CheckedAdd(quantity)
	if err != nil {
		return err
	}
	b.cumulative[key] = after
	charge := new(big.Int).Sub(rate.costFloor(after, key.baseUnits()), rate.costFloor(before, key.baseUnits()))
	money, err := toNanoUSD(charge)
	if err != nil {
		return err
	}
	sortForTies(rows, w)
	weights := make([]apportion.Weight, len(rows))
	for i := range rows {
		weights[i] = apportion.Weight(rows[i].Quantity)
	}
	parts := apportion.SplitWide(uint64(money), weights)
	if parts == nil && money != 0 {
		return fmt.Errorf("BUG: meter %s charges %s for no quantity", key.meter, money)
	}
	for i, r := range rows {
		line := Line{Key: r.Key, Segment: index, Quantity: r.Quantity, Unit: key.unit, Meter: key.meter, Price: rate.String()}
		if parts != nil {
			line.NanoUSD = NanoUSD(parts[i])
		}
		if line.UpperBound, err = b.upperBound(key, r, w.FromMS); err != nil {
			return err
		}
		b.out.Lines = append(b.out.Lines, line)
	}
	return b.addCharge(key, rate, quantity, money)
}

// addCharge books a segment's charge to the meter's line and to the total.
func (b *biller) addCharge(key meterKey, rate Rate, quantity costkeys.Quantity, money NanoUSD) error {
	total := b.totals[meterTotalKey{key, rate.String()}]
	if total == nil {
		total = &MeterLine{Meter: key.meter, Src: key.src, Dst: key.dst, Unit: key.unit, Price: rate.String()}
		if m, err := b.book.findMeter(key.meter); err == nil {
			total.UsageType = m.UsageType
		}
		b.totals[meterTotalKey{key, rate.String()}] = total
	}
	var err error
	if total.Quantity, err = total.Quantity.CheckedAdd(quantity); err != nil {
		return err
	}
	if total.NanoUSD, err = total.NanoUSD.Add(money); err != nil {
		return err
	}
	b.out.Total, err = b.out.Total.Add(money)
	return err
}

// rateOf returns the price of a meter, zero for those that are not in the book.
func (b *biller) rateOf(key meterKey, atMS int64) (Rate, error) {
	switch key.meter {
	case MeterNone:
		return Rate{new(big.Rat), "free"}, nil
	case MeterLocal:
		return Rate{new(big.Rat), "0 USD within a zone"}, nil
	case MeterUnknown:
		return Rate{new(big.Rat), "0 USD, zone unknown"}, nil
	}
	return b.book.Rate(key.meter, atMS)
}

// upperBound prices a client transfer of unknown zone as if it crossed.
func (b *biller) upperBound(key meterKey, r Usage, atMS int64) (NanoUSD, error) {
	if key.meter != MeterUnknown || !r.Component.IsClientTransfer() {
		return 0, nil
	}
	rate, err := b.book.Rate(costkeys.MeterTransfer, atMS)
	if err != nil {
		return 0, err
	}
	bound, err := toNanoUSD(rate.costCeil(r.Quantity, 1))
	if err != nil {
		return 0, err
	}
	b.out.UpperBound, err = b.out.UpperBound.Add(bound)
	return bound, err
}

// sortMeters puts the meters into order. Lines are in order already: by segment,
// meter, and the hash that resolves ties.
func (b *biller) sortMeters() {
	keys := slices.SortedFunc(maps.Keys(b.totals), func(x, y meterTotalKey) int {
		return cmp.Or(x.compareTo(y.meterKey), cmp.Compare(x.price, y.price))
	})
	for _, k := range keys {
		b.out.Meters = append(b.out.Meters, *b.totals[k])
	}
}

// sortForTies orders rows by a hash of window and key: among equal claimants
// the odd nano-dollar goes to a different one in every window, and always to
// the same one for the same input, in whatever order the rows came.
func sortForTies(rows []Usage, w Window) {
	type ranked struct {
		rank uint64
		row  Usage
	}
	order := make([]ranked, len(rows))
	var text []byte
	h := fnv.New64a()
	for i, r := range rows {
		text = binary.BigEndian.AppendUint64(text[:0], uint64(w.FromMS))
		text = binary.BigEndian.AppendUint64(text, uint64(w.ToMS))
		for _, part := range [...]string{r.TopicID, r.Component.String(), r.Src, r.Dst, r.Principal, r.Group} {
			text = append(binary.BigEndian.AppendUint32(text, uint32(len(part))), part...)
		}
		h.Reset()
		_, _ = h.Write(text) // a hash never fails
		order[i] = ranked{h.Sum64(), r}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		if a.rank != b.rank {
			return cmp.Compare(a.rank, b.rank)
		}
		return a.row.Key.compareTo(b.row.Key)
	})
	for i := range order {
		rows[i] = order[i].row
	}
}

func sumUsage(rows []Usage) (costkeys.Quantity, error) {
	var sum costkeys.Quantity
	var err error
	for _, r := range rows {
		if sum, err = sum.CheckedAdd(r.Quantity); err != nil {
			return costkeys.Quantity{}, err
		}
	}
	return sum, nil
}

// toNanoUSD returns a whole number of nano-dollars that fits, or ErrMoneyRange.
func toNanoUSD(n *big.Int) (NanoUSD, error) {
	if !n.IsInt64() {
		return 0, fmt.Errorf("%s nano-dollars: %w", n, ErrMoneyRange)
	}
	return NanoUSD(n.Int64()), nil
}
