package dashboards

import (
	"time"

	"github.com/zonewise/zonewise/costmodel"
)

// chart is money over time as stacked bars, and the same as a table.
type chart struct {
	Any           bool // something was charged for
	Width, Height int64
	Bars          []rect
	Top, Half     string // what the upper and the middle line stand for
	Labels        []string
	Rows          []chartRow
}

// chartRow is one step of time in the chart's table.
type chartRow struct {
	When  string
	Cells []amount // by category
	Total amount
}

const (
	chartHeight = 180
	columnUnits = 40 // room of one bar, with its gap
	barWidth    = 30
)

// timeChart draws the statement's segments.
func timeChart(s *costmodel.Statement) chart {
	steps := make([]categorySplit, len(s.Segments))
	for i := range s.Lines {
		steps[s.Lines[i].Segment].addLine(&s.Lines[i])
	}
	var most costmodel.NanoUSD
	for i := range steps {
		most = max(most, steps[i].total())
	}
	top := roundUp(most)
	c := chart{Any: most > 0, Width: int64(len(steps)) * columnUnits, Height: chartHeight, Top: formatShort(top), Half: formatShort(top / 2)}
	long := s.Window.ToMS-s.Window.FromMS > 24*3_600_000
	for i := range steps {
		when := formatClock(s.Segments[i].FromMS, long)
		row := chartRow{When: when + " to " + formatClock(s.Segments[i].ToMS, long), Total: exactAmount(steps[i].total())}
		for _, m := range steps[i] {
			row.Cells = append(row.Cells, exactAmount(m))
		}
		c.Rows = append(c.Rows, row)
		c.Bars = append(c.Bars, drawColumn(int64(i), &steps[i], top, row.When)...)
	}
	for i := range 5 { // the axis has five labels, ends included
		at := s.Window.FromMS + (s.Window.ToMS-s.Window.FromMS)*int64(i)/4
		c.Labels = append(c.Labels, formatClock(at, long))
	}
	return c
}

// drawColumn draws one step as a stacked vertical bar.
func drawColumn(i int64, s *categorySplit, top costmodel.NanoUSD, when string) []rect {
	var out []rect
	var below costmodel.NanoUSD
	for k, c := range categories() {
		from := mulDiv(int64(below), chartHeight, int64(top))
		below += s[k]
		if to := mulDiv(int64(below), chartHeight, int64(top)); to > from {
			out = append(out, rect{
				Class: c.Class, Title: when + ", " + c.Label + ": " + formatShort(s[k]),
				X: i*columnUnits + (columnUnits-barWidth)/2, Y: chartHeight - to, Width: barWidth, Height: to - from,
			})
		}
	}
	return out
}

// roundUp returns the next short number (one digit, then zeros), for an axis.
func roundUp(m costmodel.NanoUSD) costmodel.NanoUSD {
	unit := costmodel.NanoUSD(1)
	for {
		for _, n := range []costmodel.NanoUSD{1, 2, 3, 4, 5, 6, 8} {
			if n*unit >= m {
				return n * unit
			}
		}
		if unit >= 1_000_000_000_000_000_000 {
			return m // the next step would pass 64 bits
		}
		unit *= 10
	}
}

// formatClock is a moment in UTC: a time of day, with its date in long windows.
func formatClock(ms int64, long bool) string {
	at := time.UnixMilli(ms).UTC()
	if long {
		return at.Format("2 Jan 15:04")
	}
	return at.Format("15:04")
}

// formatTime is a moment in UTC, in full. A state that no tick has given a time yet
// is at 0.
func formatTime(ms int64) string {
	if ms <= 0 {
		return "the cluster's start"
	}
	return time.UnixMilli(ms).UTC().Format("2 January 2006, 15:04:05 UTC")
}
