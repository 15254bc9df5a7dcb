package metadata

import "github.com/zonewise/zonewise/internal/costkeys"

// applyAcceptArchive accepts the archive of the oldest generation not archived yet,
// and only if it is exactly the log: the digest read back from the bucket must
// be the one that every broker computed while it applied.
func (s *State) applyAcceptArchive(c AcceptArchive) CommandOutcome {
	if len(s.pending) == 0 || c.Extent < s.pending[0].extent {
		return refuse(CodeDuplicate, "extent %d is already archived", c.Extent)
	}
	g := s.pending[0]
	switch {
	case c.Extent != g.extent:
		return refuse(CodeInvalidRequest, "extent %d, the next to archive is %d", c.Extent, g.extent)
	case len(s.pending) < 2 && s.extent <= g.extent:
		return refuse(CodeInvalidRequest, "extent %d is still open", c.Extent)
	case c.Digest != g.digest || c.Entries != g.entries || c.First != g.first || c.Last != g.last:
		s.alarms++
		s.lastAlarm = "archive " + c.Object + " does not match the log"
		return refuse(CodeRefused, "archive of extent %d has %d entries of revisions %d to %d, the log has %d of %d to %d, or their bytes differ",
			c.Extent, c.Entries, c.First, c.Last, g.entries, g.first, g.last)
	}
	ref := ArchiveRef{Extent: g.extent, First: g.first, Last: g.last, Entries: g.entries,
		Object: c.Object, Size: c.Bytes, LiveInline: g.inline, Digest: g.digest}
	s.archives = append(s.archives, ref)
	s.sum += hashArchive(&ref)
	s.pending = s.pending[1:]
	return CommandOutcome{}
}

// PendingArchive is the oldest generation that is not archived yet.
type PendingArchive struct {
	Extent      Extent
	First, Last Revision
	Entries     uint64
	Digest      [32]byte // of the log up to Last
	Before      [32]byte // of the log before First
	Closed      bool     // a later generation has begun
}

// PendingArchives returns the generations that are not archived yet, oldest
// first.
func (s *State) PendingArchives() []PendingArchive {
	var before [32]byte
	if n := len(s.archives); n > 0 {
		before = s.archives[n-1].Digest
	}
	out := make([]PendingArchive, len(s.pending))
	for i, g := range s.pending {
		out[i] = PendingArchive{g.extent, g.first, g.last, g.entries, g.digest, before, g.extent < s.extent}
		before = g.digest
	}
	return out
}

// applyTick moves state time, books storage and forgets what has expired.
func (s *State) applyTick(c Tick) CommandOutcome {
	if c.To <= s.time {
		return refuse(CodeDuplicate, "state time is %d", s.time)
	}
	if s.time != 0 && c.To > s.time+MaxTickStep {
		return refuse(CodeInvalidRequest, "a tick of %d ms, at most %d", c.To-s.time, MaxTickStep)
	}
	if s.time != 0 {
		for _, id := range s.storedTopics() {
			s.bookQuantity(CellKey{Topic: id, Component: costkeys.ComponentStorage}, costkeys.Product(uint64(s.storedBytes[id]), uint64(c.To-s.time)))
		}
	}
	before := s.time
	s.time = c.To
	if before == 0 { // sessions are older than state time: by up to a tick
		for _, o := range s.sessions {
			if o.usageSeq == 0 {
				o.usageReportedTo = max(1, s.time-maxTickLag)
			}
		}
	}
	if before/ledgerMinute != c.To/ledgerMinute {
		s.expireLedger()
	}
	s.expireProducers(before)
	s.expireTxns(before)
	return CommandOutcome{}
}
