package metadata

// MoveInline makes an inline object the home of the live inline bytes of some
// archives, which then need not stay for these.
type MoveInline struct {
	First, Last Extent // the archives of these extents and between
	Object      string // key below "<cluster>/"
	Size        int64
}

// MaxMovedArchives is how many archives one MoveInline empties at most.
const MaxMovedArchives = 500

// Kind implements Command.
func (MoveInline) Kind() CommandKind { return 52 }

func (c MoveInline) encode(w *writer) {
	w.u64(uint64(c.First))
	w.u64(uint64(c.Last))
	w.text(c.Object)
	w.uvarint(uint64(c.Size))
}

func decodeMoveInline(r *reader) Command {
	return MoveInline{Extent(r.Uint64()), Extent(r.Uint64()), r.Text(), int64(r.UvarintUpTo(1<<50, "bytes"))}
}

// apply trusts the object to have all the bytes that were live when it was written:
// what is live in an archive only becomes less.
func (c MoveInline) apply(s *State, _ *Entry) CommandOutcome {
	row := ArchiveRef{Extent: c.First, Object: c.Object, Size: c.Size}
	var moved []Extent
	for _, o := range s.archives.order {
		if o.extent < c.First || o.extent > c.Last {
			continue
		}
		a := s.archives.rows.get(o.extent)
		if len(moved) == 0 {
			row.First = a.First
		}
		row.Last = a.Last
		row.LiveInline += a.LiveInline
		moved = append(moved, o.extent)
	}
	switch {
	case len(moved) == 0 || row.LiveInline == 0:
		return refuse(CodeDuplicate, "extents %d to %d have no live inline bytes in archives", c.First, c.Last)
	case len(moved) > MaxMovedArchives:
		return refuse(CodeInvalidRequest, "%d archives, at most %d", len(moved), MaxMovedArchives)
	case s.inlines.rows.has(c.First):
		return refuse(CodeDuplicate, "extent %d has an inline object", c.First)
	}
	s.inlines.insert(row)
	s.archiveBytes += row.Size
	for _, x := range moved {
		if s.archives.rows.get(x).LiveInline > 0 {
			s.archives.rows.edit(x, func(a *ArchiveRef) { a.LiveInline = 0 })
		}
	}
	var dead []Extent
	needed := s.neededFrom()
	for _, x := range moved {
		if x < needed {
			dead = append(dead, x)
		}
	}
	s.buryArchives(dead)
	return CommandOutcome{}
}

// InlineObjects returns the inline objects, oldest first: of each, as of an archive, the
// range of revisions and the live bytes.
func (s *State) InlineObjects() []ArchiveRef { return s.inlines.list() }
