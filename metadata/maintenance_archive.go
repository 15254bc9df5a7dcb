package metadata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// maxArchiveTries is how often an extent's archive is written under a new name
// before `zonewise repair archive` has to decide.
const maxArchiveTries = 3

// maintainArchives is one pass of the archive role: it finishes what was begun,
// archives the oldest closed extent, closes the open one when it is due, and
// compacts the store.
func (c *Maintenance) maintainArchives(ctx context.Context, role Role) error {
	start, err := c.cfg.Log.Start(ctx)
	if err != nil {
		return err
	}
	var pending []PendingArchive
	var accepted ArchiveRef
	c.cfg.Replica.View(func(s *State) { pending, accepted = s.PendingArchives(), s.newestArchive() })
	if accepted.Extent > 0 {
		// Also where truncated is there already: an earlier holder may have died
		// while it deleted keys.
		if err := c.cfg.Admin.DeleteArchived(ctx, role, accepted.Extent, accepted.Object); err != nil {
			return err
		}
	}
	if n := len(pending); n > 0 && pending[n-1].Extent >= start.Extent {
		if err := c.closeExtentIfDue(ctx, role, pending[n-1]); err != nil {
			return err
		}
	}
	if len(pending) > 0 && pending[0].Extent < start.Extent {
		p := pending[0]
		if done, err := c.archiveExtent(ctx, role, start.Incarnation, p, accepted.Object); err != nil || !done {
			return err
		}
		return nil // the next pass archives the next one
	}
	return c.compactStore(ctx, role)
}

// closeExtentIfDue closes the open extent when it is old or large enough, also
// while archiving fails.
func (c *Maintenance) closeExtentIfDue(ctx context.Context, role Role, p PendingArchive) error {
	t := c.cfg.Times
	if c.lastClose.IsZero() {
		c.lastClose = time.Now()
	}
	due := time.Since(c.lastClose) >= t.Archive || p.Entries >= t.ArchiveEntries || c.cfg.Replica.UnarchivedBytes() >= t.ArchiveInline
	if !due {
		return nil
	}
	c.lastClose = time.Now()
	_, err := c.cfg.Admin.CloseExtent(ctx, role, p.Extent)
	return err
}

// archiveExtent writes a closed extent to the bucket, reads it back, and submits
// the digest of what it read to apply; then it deletes the extent's keys.
func (c *Maintenance) archiveExtent(ctx context.Context, role Role, inc Incarnation, p PendingArchive, predecessor string) (done bool, err error) {
	if c.archiveRefusals[p.Extent] >= maxArchiveTries {
		c.cfg.Logger.Error("ALARM: an archive is refused again and again: decide with `zonewise repair archive`", "extent", p.Extent)
		return false, nil
	}
	if err := c.checkIncarnation(ctx, inc); err != nil {
		return false, err
	}
	w := NewArchiveWriter(p.Extent, p.Before, predecessor)
	if err := c.cfg.Admin.ReadExtent(ctx, p.Extent, w.Add); err != nil {
		return false, fmt.Errorf("archive extent %d: %w", p.Extent, err)
	}
	body := w.Finish()
	// A name is used once. Whether a failed PUT stored the object or not, the
	// next attempt has another name; the state has the accepted one.
	c.archivesNamed++
	key := ArchiveKey(inc, p.Extent, c.cfg.Session.ID(), c.archivesNamed)
	written := Leftover{ObjectArchive, key, int64(len(body))}
	if err := c.cfg.Store.Put(ctx, key, body); err != nil {
		return false, errors.Join(fmt.Errorf("archive extent %d: %w", p.Extent, err), c.abandon(ctx, written))
	}
	back, err := c.cfg.Store.Get(ctx, key, 0, -1)
	if err != nil {
		return false, errors.Join(fmt.Errorf("read archive %s back: %w", key, err), c.abandon(ctx, written))
	}
	a, err := DecodeArchive(back)
	if err != nil { // nothing refers to it yet: it is written again under another name
		c.archiveRefusals[p.Extent]++
		c.cfg.Logger.Error("ALARM: an archive is corrupt when read back", "extent", p.Extent, "object", key, "err", err)
		return false, c.abandon(ctx, written)
	}
	cmd := AcceptArchive{Extent: p.Extent, Object: key, Entries: uint64(len(a.Entries)), Bytes: int64(len(back)), Digest: a.Digest}
	if n := len(a.Entries); n > 0 {
		cmd.First, cmd.Last = a.Entries[0].Revision, a.Entries[n-1].Revision
	}
	out, err := c.cfg.Submitter.Submit(ctx, []Command{cmd}, &Guard{Role: role.Name, RoleEpoch: role.Epoch})
	if err != nil || out.Code != CodeOK {
		return false, errors.Join(err, c.abandon(ctx, written))
	}
	if got := out.Commands[0]; got.Code != CodeOK && got.Code != CodeDuplicate {
		c.archiveRefusals[p.Extent]++
		c.cfg.Logger.Error("ALARM: archive refused", "extent", p.Extent, "object", key, "reason", got.Text)
		return false, c.abandon(ctx, written)
	}
	delete(c.archiveRefusals, p.Extent)
	// Not key: where an earlier try was accepted unheard, this one is a duplicate.
	var accepted ArchiveRef
	c.cfg.Replica.View(func(s *State) { accepted = s.newestArchive() })
	if accepted.Object != key {
		if err := c.abandon(ctx, written); err != nil {
			return false, err
		}
	}
	return true, c.cfg.Admin.DeleteArchived(ctx, role, accepted.Extent, accepted.Object)
}

// newestArchive returns the archive that was accepted last; zero where there is
// none.
func (s *State) newestArchive() (newest ArchiveRef) {
	if a := s.archives.newest(); a != nil {
		newest = *a
	}
	return newest
}

// checkIncarnation stops a broker whose cluster was recovered into another etcd:
// only the newest incarnation may write to the bucket.
func (c *Maintenance) checkIncarnation(ctx context.Context, inc Incarnation) error {
	_, err := c.cfg.Store.Get(ctx, IncarnationKey(inc+1), 0, -1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("check for a newer incarnation: %w", err)
	}
	return fmt.Errorf("the bucket holds %s, this broker's etcd is of incarnation %d: the cluster was recovered into another etcd: start this broker again with that one (--etcd): %w",
		IncarnationKey(inc+1), inc, ErrNewerIncarnation)
}

// compactionInterval is how often the log's store is compacted.
const compactionInterval = 10 * time.Second

// compactStore compacts the store up to what the slowest live follower has
// applied.
func (c *Maintenance) compactStore(ctx context.Context, role Role) error {
	if time.Since(c.lastCompaction) < compactionInterval {
		return nil
	}
	c.lastCompaction = time.Now()
	live, _, err := c.cfg.Admin.Sessions(ctx)
	if err != nil {
		return err
	}
	behind := c.cfg.Replica.Applied()
	for _, l := range live {
		if l.Status.Applied > 0 {
			behind = min(behind, l.Status.Applied)
		}
	}
	h, err := c.cfg.Admin.CompactStore(ctx, role, behind)
	if err != nil {
		return err
	}
	if c.cfg.Health != nil {
		c.cfg.Health(h)
	}
	return c.updatePressure(ctx, role, h)
}

// Percentages of the store's quota at which brokers hold back. A level ends five
// points below where it begins.
const (
	noInlinePercent    = 40
	noAppendsPercent   = 60
	pressureHysteresis = 5
)

// updatePressure commits the new pressure level when the store's usage crosses
// one.
func (c *Maintenance) updatePressure(ctx context.Context, role Role, h StoreHealth) error {
	var present PressureLevel
	c.cfg.Replica.View(func(s *State) { present = s.pressure })
	next := nextPressure(h, present)
	if next == present {
		return nil
	}
	c.cfg.Logger.Warn("the log store's usage crossed a pressure level", "in_use", h.InUseBytes, "quota", h.QuotaBytes, "level", next)
	_, err := c.cfg.Submitter.Submit(ctx, []Command{Pressure{next}}, &Guard{Role: role.Name, RoleEpoch: role.Epoch})
	return err
}

func nextPressure(h StoreHealth, present PressureLevel) PressureLevel {
	if h.QuotaBytes <= 0 {
		return present
	}
	percent := h.InUseBytes * 100 / h.QuotaBytes
	level := func(p int64) PressureLevel {
		switch {
		case p > noAppendsPercent:
			return PressureNoAppends
		case p > noInlinePercent:
			return PressureNoInline
		}
		return PressureNone
	}
	if up := level(percent); up > present {
		return up
	}
	return min(present, level(percent+pressureHysteresis))
}
