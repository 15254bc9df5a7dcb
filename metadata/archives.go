package metadata

import "slices"

// ArchiveRef is an accepted archive.
type ArchiveRef struct {
	Extent      Extent
	First, Last Revision
	Entries     uint64
	Object      string // key below "<cluster>/"
	Size        int64
	LiveInline  int64 // bytes of it that spans refer to
	Digest      [32]byte
}

// archiveTable is the accepted archives whose objects are not dead, or the inline
// objects, to be found by extent and by the revision of an entry.
type archiveTable struct {
	rows  *table[Extent, ArchiveRef]
	order []archiveRevisions // derived from rows, oldest first; replaced or appended to, never changed
}

type archiveRevisions struct {
	first, last Revision
	extent      Extent
}

func newArchiveTable(hash func(Extent, ArchiveRef) uint64, sum *uint64) archiveTable {
	return archiveTable{rows: newTable(pageOfArchive, cloneByValue, hash, sum)}
}

func pageOfArchive(x Extent) uint64 { return uint64(x) }

// addArchive adds the newest archive.
func (t *archiveTable) addArchive(a ArchiveRef) {
	t.rows.put(a.Extent, a)
	t.order = append(t.order, archiveRevisions{a.First, a.Last, a.Extent})
}

// insert adds a row at its place by revision.
func (t *archiveTable) insert(a ArchiveRef) {
	t.rows.put(a.Extent, a)
	i, _ := slices.BinarySearchFunc(t.order, a.First, func(o archiveRevisions, rev Revision) int { return int(o.first - rev) })
	t.order = slices.Insert(slices.Clone(t.order), i, archiveRevisions{a.First, a.Last, a.Extent})
}

// list returns the rows, oldest first.
func (t *archiveTable) list() []ArchiveRef {
	out := make([]ArchiveRef, 0, len(t.order))
	for _, o := range t.order {
		out = append(out, *t.rows.get(o.extent))
	}
	return out
}

// drop removes the archives of these extents.
func (t *archiveTable) drop(extents []Extent) {
	if len(extents) == 0 {
		return
	}
	for _, x := range extents {
		t.rows.drop(x)
	}
	kept := make([]archiveRevisions, 0, len(t.order))
	for _, o := range t.order {
		if t.rows.has(o.extent) {
			kept = append(kept, o)
		}
	}
	t.order = kept
}

// sortOrder derives the order from the rows, after a checkpoint was loaded.
func (t *archiveTable) sortOrder() {
	t.order = make([]archiveRevisions, 0, t.rows.count)
	t.rows.each(func(x Extent, a *ArchiveRef) bool {
		t.order = append(t.order, archiveRevisions{a.First, a.Last, x})
		return true
	})
	slices.SortFunc(t.order, func(a, b archiveRevisions) int { return int(a.first - b.first) })
}

// newest returns the newest archive, or nil.
func (t *archiveTable) newest() *ArchiveRef {
	if n := len(t.order); n > 0 {
		return t.rows.get(t.order[n-1].extent)
	}
	return nil
}

// find returns the archive with the entry of a revision, or nil.
func (t *archiveTable) find(rev Revision) *ArchiveRef {
	i, _ := slices.BinarySearchFunc(t.order, rev, func(a archiveRevisions, rev Revision) int {
		if a.last < rev {
			return -1
		}
		return 1
	})
	if i < len(t.order) && t.order[i].first <= rev {
		return t.rows.get(t.order[i].extent)
	}
	return nil
}

func (t *archiveTable) snapshotArchives() archiveTable {
	return archiveTable{rows: t.rows.snapshot(), order: slices.Clip(t.order)}
}

// Archive returns the object with the inline bytes of the entry at a revision: its
// accepted archive, or the inline object into which they were moved. False where its
// extent is not archived yet, or all is dead.
func (s *State) Archive(r Revision) (ArchiveRef, bool) {
	if a := s.inlines.find(r); a != nil {
		return *a, true
	}
	if a := s.archives.find(r); a != nil {
		return *a, true
	}
	return ArchiveRef{}, false
}

// Archives returns the accepted archives that are not dead, oldest first.
func (s *State) Archives() []ArchiveRef { return s.archives.list() }

// addInlineBytes adds live inline bytes of the entry at a revision to its extent
// or its archive; a negative number subtracts.
func (s *State) addInlineBytes(rev Revision, bytes int64) {
	for i := len(s.unarchivedExtents) - 1; i >= 0; i-- {
		if g := &s.unarchivedExtents[i]; rev >= g.first && rev <= g.last {
			g.inline += bytes
			return
		}
	}
	if a := s.inlines.find(rev); a != nil {
		s.addMovedBytes(a.Extent, bytes)
		return
	}
	a := s.archives.find(rev)
	if a == nil {
		return
	}
	extent := a.Extent
	s.archives.rows.edit(extent, func(a *ArchiveRef) { a.LiveInline += bytes })
	s.archivedInline += bytes
	s.buryArchiveIfDead(extent)
}

// addMovedBytes adds live bytes to an inline object; a negative number subtracts. The
// object dies with the last of them.
func (s *State) addMovedBytes(x Extent, bytes int64) {
	s.inlines.rows.edit(x, func(a *ArchiveRef) { a.LiveInline += bytes })
	s.archivedInline += bytes
	if a := s.inlines.rows.get(x); a.LiveInline == 0 {
		dead := *a
		s.archiveBytes -= dead.Size
		s.inlines.drop([]Extent{x})
		s.bury(garbageState{class: ObjectInline, key: dead.Object, size: dead.Size})
	}
}
