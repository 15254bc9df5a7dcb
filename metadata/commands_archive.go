package metadata

// AcceptArchive reports that a closed extent is in the bucket. Apply accepts only
// the next extent, and only if Digest is what it computed itself.
type AcceptArchive struct {
	Extent      Extent
	Object      string // key below "<cluster>/"
	First, Last Revision
	Entries     uint64
	Bytes       int64 // of the object
	Digest      [32]byte
}

// Kind implements Command.
func (AcceptArchive) Kind() CommandKind { return 6 }

func (c AcceptArchive) encode(w *writer) {
	w.u64(uint64(c.Extent))
	w.text(c.Object)
	w.u64(uint64(c.First))
	w.u64(uint64(c.Last))
	w.uvarint(c.Entries)
	w.uvarint(uint64(c.Bytes))
	w.raw(c.Digest[:])
}

func decodeAcceptArchive(r *reader) Command {
	c := AcceptArchive{Extent: Extent(r.Uint64()), Object: r.Text(), First: Revision(r.Uint64()), Last: Revision(r.Uint64()),
		Entries: r.Uvarint(), Bytes: int64(r.UvarintUpTo(1<<50, "bytes"))}
	copy(c.Digest[:], r.Take(len(c.Digest)))
	return c
}

// apply accepts the archive of the oldest extent that is not archived yet, and
// only if it is exactly the log: the digest of what was read back from the bucket
// must be the one that every broker computed while it applied.
func (c AcceptArchive) apply(s *State, _ *Entry) CommandOutcome {
	if len(s.unarchivedExtents) == 0 || c.Extent < s.unarchivedExtents[0].extent {
		return refuse(CodeDuplicate, "extent %d is already archived", c.Extent)
	}
	g := s.unarchivedExtents[0]
	switch {
	case c.Extent != g.extent:
		return refuse(CodeInvalidRequest, "extent %d, the next to archive is %d", c.Extent, g.extent)
	case len(s.unarchivedExtents) < 2 && s.extent <= g.extent:
		return refuse(CodeInvalidRequest, "extent %d is still open", c.Extent)
	case c.Digest != g.digest || c.Entries != g.entries || c.First != g.first || c.Last != g.last:
		s.alarms++
		s.lastAlarm = "archive " + c.Object + " does not match the log"
		return refuse(CodeRefused, "archive of extent %d has %d entries of revisions %d to %d, the log has %d of %d to %d, or their bytes differ",
			c.Extent, c.Entries, c.First, c.Last, g.entries, g.first, g.last)
	}
	ref := ArchiveRef{Extent: g.extent, First: g.first, Last: g.last, Entries: g.entries,
		Object: c.Object, Size: c.Bytes, LiveInline: g.inline, Digest: g.digest}
	s.archives.addArchive(ref)
	s.archiveBytes += ref.Size
	s.archivedInline += ref.LiveInline
	s.unarchivedExtents = s.unarchivedExtents[1:]
	return CommandOutcome{}
}

// PendingArchive is an extent that is not archived yet.
type PendingArchive struct {
	Extent      Extent
	First, Last Revision
	Entries     uint64
	Digest      [32]byte // of the log up to Last
	Before      [32]byte // of the log before First
	Closed      bool     // a later extent has begun
}

// PendingArchives returns the extents that are not archived yet, oldest first.
func (s *State) PendingArchives() []PendingArchive {
	var before [32]byte
	if a := s.archives.newest(); a != nil {
		before = a.Digest
	}
	out := make([]PendingArchive, len(s.unarchivedExtents))
	for i, g := range s.unarchivedExtents {
		out[i] = PendingArchive{g.extent, g.first, g.last, g.entries, g.digest, before, g.extent < s.extent}
		before = g.digest
	}
	return out
}
