package dashboards

import (
	"context"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

// pricedWindow is a window priced, and the one before it where that is comparable.
type pricedWindow struct {
	now       metadata.UnixMilli
	length    metadata.UnixMilli
	statement *costmodel.Statement
	before    *costmodel.Statement // nil where the ledger does not reach back so far
	usageFrom metadata.UnixMilli   // begin of the first step with usage, 0 if there is none
	storage   metadata.StorageTotals
}

// maxConcurrent bounds how many statements are computed at once, so that
// readers of the page cannot take a broker's processors from its clients.
const maxConcurrent = 2

// ErrBusy means that the context ended while the request waited for other
// statements.
var ErrBusy = errors.New("too many cost requests at once on this broker: try again, or ask another broker")

// priceWindow reads and prices the window of a length that ends now, and the one
// before it if compare says so. It waits for its turn as long as ctx lives.
func (h *handler) priceWindow(ctx context.Context, length metadata.UnixMilli, compare bool) (*pricedWindow, error) {
	select {
	case h.statementSlots <- struct{}{}:
		defer func() { <-h.statementSlots }()
	case <-ctx.Done():
		return nil, ErrBusy
	}
	var p windowPlan
	ledger, err := h.source.Ledger(func(now metadata.UnixMilli) []Window {
		p = planWindow(now, length, compare)
		return p.windows
	})
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	if len(ledger.Windows) != len(p.windows) {
		return nil, fmt.Errorf("BUG: asked the ledger for %d windows, got %d", len(p.windows), len(ledger.Windows))
	}
	c := &pricedWindow{now: ledger.Now, length: length, storage: ledger.Storage}
	for i := p.previous; i < len(ledger.Windows); i++ {
		if len(ledger.Windows[i].Cells) > 0 {
			c.usageFrom = p.windows[i].From
			break
		}
	}
	if c.statement, err = h.billWindows(&ledger, p.windows, p.previous, len(p.windows)); err != nil {
		return nil, err
	}
	// A previous window whose first step is empty is one in which the
	// cluster began: comparing with it would only show that.
	if p.previous > 0 && len(ledger.Windows[0].Cells) > 0 {
		if c.before, err = h.billWindows(&ledger, p.windows, 0, p.previous); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// billWindows prices windows [from, to) of a ledger.
func (h *handler) billWindows(ledger *Ledger, windows []Window, from, to int) (*costmodel.Statement, error) {
	req := costmodel.Request{Book: h.book, AsOfRevision: int64(ledger.AsOf)}
	for i := from; i < to; i++ {
		w := &ledger.Windows[i]
		if err := checkMeters(w); err != nil {
			return nil, err
		}
		segment := costmodel.Segment{Window: costmodel.Window{FromMS: int64(windows[i].From), ToMS: int64(windows[i].To)}}
		for j := range w.Cells {
			segment.Usage = append(segment.Usage, usageOf(&w.Cells[j], ledger))
		}
		req.Segments = append(req.Segments, segment)
		req.GapsMS += w.GapsMs
	}
	return costmodel.Bill(req)
}

// ErrLedger means that the ledger's rows and its meters, which are counted
// separately, differ. Nothing is shown then.
var ErrLedger = errors.New("rows and meters of the ledger differ: compare `zonewise dump state` of two brokers")

// checkMeters compares the sum of each component's cells with its meter.
func checkMeters(w *metadata.LedgerWindow) error {
	sums := map[costkeys.Component]costkeys.Quantity{}
	for i := range w.Cells {
		c := &w.Cells[i]
		sums[c.Key.Component] = sums[c.Key.Component].Add(c.Quantity)
	}
	for i := range w.Meters {
		m := &w.Meters[i]
		if sums[m.Key.Component] != m.Quantity {
			return fmt.Errorf("window from %d, %s: %w", w.From, m.Key.Component, ErrLedger)
		}
		delete(sums, m.Key.Component)
	}
	for component, sum := range sums {
		if !sum.IsZero() {
			return fmt.Errorf("window from %d, %s has no meter: %w", w.From, component, ErrLedger)
		}
	}
	return nil
}

// usageOf turns a ledger cell into a row to price.
func usageOf(c *metadata.Cell, ledger *Ledger) costmodel.Usage {
	id, name := ledger.topicName(c.Key.Topic)
	return costmodel.Usage{
		Key: costmodel.Key{
			TopicID: id, Topic: name, Component: c.Key.Component,
			Src: string(c.Key.Src), Dst: string(c.Key.Dst), Principal: c.Key.Principal, Group: c.Key.Group,
		},
		Quantity: c.Quantity,
	}
}

// topicName returns a topic's id and name as in the API. A deleted topic keeps its
// row and its name, which no topic can have that exists; under its id where the name
// is forgotten.
func (l *Ledger) topicName(id metadata.TopicID) (text, name string) {
	if row, ok := metadata.ReservedRow(id); ok {
		return row.String(), row.String()
	}
	if name, ok := l.Topics[id]; ok {
		return id.String(), name
	}
	if name, ok := l.Deleted[id]; ok {
		return id.String(), name + " (deleted)"
	}
	return id.String(), "deleted topic " + id.String()[:8]
}

// ReadLedger implements Source.Ledger for a state: it is called under the
// replica's View, or with a snapshot.
func ReadLedger(s *metadata.State, plan func(now metadata.UnixMilli) []Window) Ledger {
	out := Ledger{AsOf: s.Revision(), Now: s.Time(), Topics: map[metadata.TopicID]string{},
		Deleted: s.DeletedTopics(), Storage: s.StorageTotals()}
	for _, w := range plan(s.Time()) {
		out.Windows = append(out.Windows, s.Ledger(w.From, w.To))
	}
	for _, t := range s.Topics() {
		out.Topics[t.ID] = t.Name
	}
	return out
}
