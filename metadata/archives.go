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

// archiveTable is the accepted archives whose objects are not dead, to be found by
// extent and by the revision of an entry.
type archiveTable struct {
	rows  *table[Extent, ArchiveRef]
	order []archiveRevisions // derived from rows, oldest first; replaced or appended to, never changed
}

type archiveRevisions struct {
	first, last Revision
	extent      Extent
}

func newArchiveTable(sum *uint64) archiveTable {
	return archiveTable{rows: newTable(pageOfArchive, cloneByValue, hashArchive, sum)}
}

func pageOfArchive(x Extent) uint64 { return uint64(x) }

// addArchive adds the newest archive.
func (t *archiveTable) addArchive(a ArchiveRef) {
	t.rows.put(a.Extent, a)
	t.order = append(t.order, archiveRevisions{a.First, a.Last, a.Extent})
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

// Archive returns the accepted archive with the entry of a revision; false where
// its extent is not archived yet, or its archive is dead.
func (s *State) Archive(r Revision) (ArchiveRef, bool) {
	if a := s.archives.find(r); a != nil {
		return *a, true
	}
	return ArchiveRef{}, false
}

// Archives returns the accepted archives that are not dead, oldest first.
func (s *State) Archives() []ArchiveRef {
	out := make([]ArchiveRef, 0, len(s.archives.order))
	for _, o := range s.archives.order {
		out = append(out, *s.archives.rows.get(o.extent))
	}
	return out
}

// addInlineBytes adds live inline bytes of the entry at a revision to its extent
// or its archive; a negative number subtracts.
func (s *State) addInlineBytes(rev Revision, bytes int64) {
	for i := len(s.unarchivedExtents) - 1; i >= 0; i-- {
		if g := &s.unarchivedExtents[i]; rev >= g.first && rev <= g.last {
			g.inline += bytes
			return
		}
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
