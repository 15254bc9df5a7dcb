package metadata

// Usage is the read side of the cost ledger since the session's last report. Seq
// counts a session's reports from 1, so that a repeat counts once.
type Usage struct {
	Seq      uint64
	From, To UnixMilli // the broker's clock; equal where more cells of this time follow
	Cells    []Cell
	Final    bool // the session ends here: nothing after it is lost
}

// Kind implements Command.
func (Usage) Kind() CommandKind { return 18 }

func (c Usage) encode(w *writer) {
	w.uvarint(c.Seq)
	w.u64(uint64(c.From))
	w.u64(uint64(c.To))
	w.writeCells(c.Cells)
	w.flag(c.Final)
}

func decodeUsage(r *reader) Command {
	return Usage{r.Uvarint(), UnixMilli(r.Uint64()), UnixMilli(r.Uint64()), r.readCells(), r.Flag()}
}

func (c Usage) apply(s *State, e *Entry) CommandOutcome { return s.applyUsage(e.Session, c) }

// writeCells interns the zones, principals and groups of a list of cells.
func (w *writer) writeCells(cells []Cell) {
	var names []string
	index := map[string]uint64{}
	id := func(s string) uint64 {
		i, ok := index[s]
		if !ok {
			i = uint64(len(names))
			index[s] = i
			names = append(names, s)
		}
		return i
	}
	var body writer
	for i := range cells {
		c := &cells[i]
		body.raw(c.Key.Topic[:])
		body.u8(uint8(c.Key.Component))
		body.uvarint(id(string(c.Key.Src)))
		body.uvarint(id(string(c.Key.Dst)))
		body.uvarint(id(c.Key.Principal))
		body.uvarint(id(c.Key.Group))
		body.uvarint(c.Quantity.Hi)
		body.uvarint(c.Quantity.Lo)
	}
	w.writeTextList(names)
	w.uvarint(uint64(len(cells)))
	w.raw(body.b)
}

func (r *reader) readCells() (out []Cell) {
	names := r.readTextList()
	name := func() string {
		i := r.Uvarint()
		if i >= uint64(len(names)) {
			r.Fail("name %d of %d", i, len(names))
			return ""
		}
		return names[i]
	}
	n := r.Count(23, "cells")
	if n > 0 {
		out = make([]Cell, 0, n)
	}
	for range n {
		c := Cell{Key: CellKey{Topic: r.readTopicID(), Component: Component(r.Uint8())}}
		c.Key.Src, c.Key.Dst = ZoneID(name()), ZoneID(name())
		c.Key.Principal, c.Key.Group = name(), name()
		c.Quantity = Quantity{Hi: r.Uvarint(), Lo: r.Uvarint()}
		if r.Err() == nil && !c.Key.Component.Valid() {
			r.Fail("component %d", c.Key.Component)
		}
		out = append(out, c)
	}
	return out
}
