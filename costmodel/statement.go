package costmodel

import (
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// Window is a stretch of state time, in milliseconds since 1970 UTC, end
// exclusive.
type Window struct {
	FromMS int64 `json:"from_ms"`
	ToMS   int64 `json:"to_ms"`
}

// Segment is the usage of one stretch of time within one calendar month.
type Segment struct {
	Window Window
	Usage  []Usage
}

// Request is everything a statement is computed from.
type Request struct {
	Book *Book
	// Segments follow each other without a hole, in order of time, and none
	// spans the end of a UTC month (NextMonth), where storage prices change.
	Segments []Segment
	// Before is the cumulative usage before the first segment; it may be
	// empty. With it, statements of adjoining windows add up exactly;
	// without it each meter loses under a nano-dollar per window.
	Before       []Usage
	AsOfRevision int64
	GapsMS       int64 // read-side time lost within the window
}

// Line is one priced row at full detail.
type Line struct {
	Key
	Segment  int // index into the request's segments
	Quantity costkeys.Quantity
	Unit     costkeys.Unit
	Meter    costkeys.MeterID
	Price    string // per commercial unit, as text
	NanoUSD  NanoUSD
	// UpperBound is what a transfer would cost if its unknown zone were
	// another one; it is not part of NanoUSD.
	UpperBound NanoUSD
}

// MeterLine is what one meter counted and costs over the whole statement.
type MeterLine struct {
	Meter     costkeys.MeterID
	UsageType string
	Src, Dst  string // transfers only
	Quantity  costkeys.Quantity
	Unit      costkeys.Unit
	Price     string
	NanoUSD   NanoUSD
}

// Statement is a priced window: lines that add up to meters, and both to the
// total.
type Statement struct {
	Window       Window
	AsOfRevision int64
	GapsMS       int64
	Book         *Book
	Segments     []Window
	Lines        []Line
	Meters       []MeterLine
	Total        NanoUSD
	UpperBound   NanoUSD
}

func (r Request) validate() error {
	if r.Book == nil || len(r.Segments) == 0 {
		return errors.New("need a price book and at least one segment")
	}
	for i, s := range r.Segments {
		if s.Window.FromMS >= s.Window.ToMS {
			return fmt.Errorf("segment %d ends at or before its begin", i)
		}
		if i > 0 && s.Window.FromMS != r.Segments[i-1].Window.ToMS {
			return fmt.Errorf("segment %d does not begin where the one before it ends", i)
		}
		if end := NextMonth(s.Window.FromMS); end < s.Window.ToMS {
			return fmt.Errorf("segment %d spans a month's end: cut it at %d", i, end)
		}
	}
	return nil
}
