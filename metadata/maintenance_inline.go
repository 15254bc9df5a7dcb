package metadata

import (
	"context"
	"errors"
	"fmt"
)

// maxInlineObject is about how many bytes are moved into one inline object.
const maxInlineObject = 64 << 20

// moveInline is one pass of the role that moves inline bytes which are still live some
// time after they were archived: one record must not keep an archive.
func (c *Maintenance) moveInline(ctx context.Context, role Role) error {
	var due []ArchiveRef
	c.cfg.Replica.View(func(s *State) { due = s.planInlineMove(UnixMilli(c.cfg.Times.InlineAge.Milliseconds())) })
	if len(due) == 0 {
		return nil
	}
	start, err := c.cfg.Log.Start(ctx)
	if err != nil {
		return err
	}
	first, last := due[0], due[len(due)-1]
	live := c.cfg.Replica.Snapshot().liveInline(first.First, last.Last)
	w := NewInlineWriter()
	for _, a := range due {
		if err := c.copyInline(ctx, w, a, live); err != nil {
			return err
		}
	}
	c.inlinesNamed++
	key := InlineKey(start.Incarnation, first.Extent, c.cfg.Session.ID(), c.inlinesNamed)
	body := w.Finish()
	written := Leftover{ObjectInline, key, int64(len(body))}
	if err := c.cfg.Store.Put(ctx, key, body); err != nil {
		return errors.Join(fmt.Errorf("write inline object: %w", err), c.abandon(ctx, written))
	}
	back, err := c.cfg.Store.Get(ctx, key, 0, -1)
	if err != nil {
		return fmt.Errorf("read inline object %s back: %w", key, err)
	}
	if _, err := DecodeInlineObject(back); err != nil {
		c.cfg.Logger.Error("ALARM: an inline object is corrupt when read back; its archives stay", "object", key, "err", err)
		return c.abandon(ctx, written)
	}
	out, err := c.cfg.Submitter.Submit(ctx, []Command{MoveInline{first.Extent, last.Extent, key, written.Size}}, &Guard{Role: role.Name, RoleEpoch: role.Epoch})
	if err != nil || out.Code != CodeOK {
		return err
	}
	if out.Commands[0].Code != CodeOK {
		return c.abandon(ctx, written) // all of it was deleted meanwhile
	}
	return nil
}

// copyInline adds an archive's live inline bytes.
func (c *Maintenance) copyInline(ctx context.Context, w *InlineWriter, a ArchiveRef, live map[Revision]bool) error {
	if a.LiveInline == 0 {
		return nil
	}
	body, err := c.cfg.Store.Get(ctx, a.Object, 0, -1)
	if err != nil {
		return fmt.Errorf("read archive %s: %w", a.Object, err)
	}
	decoded, err := DecodeArchive(body)
	if err != nil {
		// It was damaged on its way, perhaps: it is read again in the next pass. Not %w:
		// ErrCorrupt would end this broker.
		if c.damagedMoves++; c.damagedMoves >= maxDamagedReads {
			c.cfg.Logger.Error("ALARM: an archive is damaged in the bucket; what is in it stays there", "object", a.Object, "err", err)
		}
		return fmt.Errorf("read archive %s, to move record bytes out of it: %v", a.Object, err)
	}
	c.damagedMoves = 0
	for i := range decoded.Entries {
		e := &decoded.Entries[i]
		if !live[e.Revision] {
			continue
		}
		start, err := InlineStart(e.Bytes)
		if err != nil {
			return fmt.Errorf("archive %s: entry at revision %d: %v", a.Object, e.Revision, err)
		}
		if err := w.AddInline(e.Revision, e.Bytes[start:len(e.Bytes)-4]); err != nil {
			return err
		}
	}
	return nil
}

// planInlineMove returns the oldest archives with live inline bytes, if they are older
// than an age: as many as go into one object.
func (s *State) planInlineMove(age UnixMilli) (out []ArchiveRef) {
	var bytes int64
	for _, o := range s.archives.order {
		a := s.archives.rows.get(o.extent)
		if s.time-s.commitTimeOf(a.Last) < age || a.Last > s.lastCommitTime() {
			break
		}
		if a.LiveInline == 0 {
			continue
		}
		if bytes += a.LiveInline; len(out) == MaxMovedArchives || bytes > maxInlineObject && len(out) > 0 {
			break
		}
		out = append(out, *a)
	}
	return out
}

// lastCommitTime returns the newest revision whose commit time is known.
func (s *State) lastCommitTime() Revision {
	if n := len(s.commitTimes); n > 0 {
		return s.commitTimes[n-1].revision
	}
	return 0
}

// liveInline returns the revisions from first to last whose entries have live inline
// bytes. It visits every partition: for a snapshot.
func (s *State) liveInline(first, last Revision) map[Revision]bool {
	live := map[Revision]bool{}
	s.partitions.each(func(_ TopicPartition, p *partitionState) bool {
		for i := findRevision(p.spans, first); i < len(p.spans) && p.spans[i].Revision <= last; i++ {
			if p.spans[i].Inline() {
				live[p.spans[i].Revision] = true
			}
		}
		return true
	})
	return live
}

// findRevision returns the place of the first span at or after a revision.
func findRevision(spans []Span, rev Revision) int {
	low, high := 0, len(spans)
	for low < high {
		if mid := (low + high) / 2; spans[mid].Revision < rev {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
