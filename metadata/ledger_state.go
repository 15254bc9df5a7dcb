package metadata

import (
	"github.com/zonewise/zonewise/internal/costkeys"
)

// How long the ledger keeps its buckets, in state time.
const (
	ledgerMinute     UnixMilli = 60_000
	ledgerHour       UnixMilli = 3_600_000
	LedgerMinutesFor           = 2 * ledgerHour
	LedgerHoursFor             = 7 * 24 * ledgerHour
)

// ledgerBucket is one minute or one hour of state time.
type ledgerBucket struct {
	start UnixMilli
	hour  bool
}

func (b ledgerBucket) hashWord() uint64 {
	if b.hour {
		return uint64(b.start)<<1 | 1
	}
	return uint64(b.start) << 1
}

func pageOfBucket(b ledgerBucket) uint64 { return hashSeedPage.Word(b.hashWord()).Sum() }

// ledgerCells is one bucket: the cells and, counted separately, the meters, so
// that the sum of one can be compared with the other.
type ledgerCells struct {
	cells  cowMap[CellKey, Quantity]
	meters [costkeys.ComponentEnd]Quantity
	gapsMs int64
}

func cloneCells(c *ledgerCells) *ledgerCells {
	return &ledgerCells{c.cells.copyOnWrite(), c.meters, c.gapsMs}
}

// bookQuantity adds a quantity to the present minute and hour. Past the limit
// of a bucket, new keys are added to __other__; known keys continue to count.
func (s *State) bookQuantity(k CellKey, q Quantity) {
	if q.IsZero() {
		return
	}
	for _, b := range s.currentBuckets() {
		c := s.ensureBucket(b)
		c.meters[k.Component] = c.meters[k.Component].Add(q)
		key := k
		cell := c.cells.mutable(key, cloneByValue)
		if cell == nil && c.cells.len() >= s.limits.LedgerCells {
			key = CellKey{Topic: RowOther, Component: k.Component, Src: k.Src, Dst: k.Dst}
			cell = c.cells.mutable(key, cloneByValue)
		}
		now := q
		if cell != nil {
			s.itemHashSum -= hashCell(b, &key, *cell)
			now = cell.Add(q)
			*cell = now
		} else {
			c.cells.put(key, now)
		}
		s.itemHashSum += hashCell(b, &key, now)
	}
}

func (s *State) currentBuckets() [2]ledgerBucket {
	return [2]ledgerBucket{{start: s.time - s.time%ledgerMinute}, {start: s.time - s.time%ledgerHour, hour: true}}
}

func (s *State) ensureBucket(b ledgerBucket) *ledgerCells {
	if c := s.ledger.mutable(b); c != nil {
		return *c
	}
	c := &ledgerCells{cells: newCowMap[CellKey, Quantity]()}
	s.ledger.put(b, c)
	return c
}

// expireLedger drops buckets past their retention.
func (s *State) expireLedger() {
	var old []ledgerBucket
	s.ledger.each(func(b ledgerBucket, _ **ledgerCells) bool {
		keep, width := LedgerMinutesFor, ledgerMinute
		if b.hour {
			keep, width = LedgerHoursFor, ledgerHour
		}
		if b.start+width+keep <= s.time {
			old = append(old, b)
		}
		return true
	})
	for _, b := range old {
		for k, q := range (*s.ledger.get(b)).cells.all() {
			s.itemHashSum -= hashCell(b, &k, *q)
		}
		s.ledger.drop(b)
	}
}

// LedgerWindow is the ledger over a stretch of state time.
type LedgerWindow struct {
	From, To UnixMilli // widened to whole buckets
	Cells    []Cell    // sorted
	Meters   []Cell    // one per component, counted separately from the cells
	GapsMs   int64     // read-side time lost in it
}

// Ledger sums the cells of [from, to). Windows that begin within the last two
// hours are exact to the minute, older ones to the hour.
func (s *State) Ledger(from, to UnixMilli) LedgerWindow {
	hours := from < s.time-LedgerMinutesFor
	width := ledgerMinute
	if hours {
		width = ledgerHour
	}
	out := LedgerWindow{From: from - from%width, To: to}
	cells := map[CellKey]Quantity{}
	var meters [costkeys.ComponentEnd]Quantity
	s.ledger.each(func(b ledgerBucket, c **ledgerCells) bool {
		if b.hour != hours || b.start < out.From || b.start >= to {
			return true
		}
		for k, q := range (*c).cells.all() {
			cells[k] = cells[k].Add(*q)
		}
		for i, q := range (*c).meters {
			meters[i] = meters[i].Add(q)
		}
		out.GapsMs += (*c).gapsMs
		return true
	})
	for k, q := range cells {
		out.Cells = append(out.Cells, Cell{k, q})
	}
	SortCells(out.Cells)
	for i, q := range meters {
		if !q.IsZero() {
			out.Meters = append(out.Meters, Cell{CellKey{Component: Component(i)}, q})
		}
	}
	return out
}
