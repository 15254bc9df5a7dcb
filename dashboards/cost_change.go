package dashboards

import (
	"cmp"
	"slices"

	"github.com/zonewise/zonewise/costmodel"
)

// costChange is the change of the cost against the window before, and its
// causes.
type costChange struct {
	Change  string
	Percent string
	Rising  bool
	Before  string
	Volume  string // more or fewer bytes written, at the former cost per byte
	Mix     string // another cost per byte: object sizes, storage, where clients are
	Movers  []changedCategory
}

type changedCategory struct {
	Class, Label, Change string
}

// explainChange compares a window with the one before; nil where there is none
// to compare with. Both use the same price book, so no change is due to prices.
func explainChange(c *pricedWindow) *costChange {
	if c.before == nil {
		return nil
	}
	now, before := c.statement.Total, c.before.Total
	w := &costChange{Change: formatChange(now - before), Rising: now > before, Before: formatShort(before)}
	if before > 0 {
		change := now - before
		if change < 0 {
			change = -change
		}
		w.Percent = formatPercent(change, before)
	}
	written, past := c.statement.Written(), c.before.Written()
	if past.Hi == 0 && written.Hi == 0 && past.Lo > 0 && past.Lo < 1<<62 && written.Lo < 1<<62 {
		volume := costmodel.NanoUSD(mulDiv(int64(before), int64(written.Lo), int64(past.Lo))) - before
		w.Volume, w.Mix = formatChange(volume), formatChange(now-before-volume)
	}
	w.Movers = largestChanges(c)
	return w
}

// largestChanges returns the categories that changed most, at most three.
func largestChanges(c *pricedWindow) []changedCategory {
	var now, before categorySplit
	for i := range c.statement.Lines {
		now.addLine(&c.statement.Lines[i])
	}
	for i := range c.before.Lines {
		before.addLine(&c.before.Lines[i])
	}
	type change struct {
		category
		by, size costmodel.NanoUSD
	}
	var changes []change
	for i, cat := range categories() {
		by := now[i] - before[i]
		if by != 0 {
			changes = append(changes, change{cat, by, max(by, -by)})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(b.size, a.size) })
	var out []changedCategory
	for _, ch := range changes[:min(3, len(changes))] {
		out = append(out, changedCategory{ch.Class, ch.Label, formatChange(ch.by)})
	}
	return out
}
