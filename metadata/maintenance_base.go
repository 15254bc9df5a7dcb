package metadata

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// maintainCheckpoints is one pass of the checkpoint role: it makes a checkpoint a
// recovery base when that is due, and writes the next checkpoint.
func (c *Maintenance) maintainCheckpoints(ctx context.Context, role Role) error {
	if time.Since(c.lastBase) >= c.cfg.Times.Base {
		if err := c.makeBase(ctx, role); err != nil {
			return err
		}
	}
	return c.writeCheckpoint(ctx, role)
}

// makeBase reads the newest checkpoint that is followed by archives back from the
// bucket, and makes it a recovery base.
func (c *Maintenance) makeBase(ctx context.Context, role Role) error {
	start, err := c.cfg.Log.Start(ctx)
	if err != nil {
		return err
	}
	var candidate CheckpointRecord
	c.cfg.Replica.View(func(s *State) {
		a := s.archives.newest()
		for _, r := range s.checkpoints {
			if r.Base {
				candidate = CheckpointRecord{}
			} else if a != nil && r.Revision <= a.Last && start.Checkpoint != nil && r.Revision <= start.Checkpoint.Revision {
				candidate = r
			}
		}
	})
	if candidate.Revision == 0 {
		return nil
	}
	loaded, err := LoadCheckpoint(ctx, c.cfg.Store, candidate.Key())
	if err == nil && (loaded.revision != candidate.Revision || loaded.Hash() != candidate.Hash) {
		err = ErrCorrupt
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
		c.cfg.Logger.Error("ALARM: a checkpoint is damaged in the bucket; the next one is written in full, and nothing is deleted meanwhile",
			"object", candidate.Key(), "err", err)
		c.checkpointer = Checkpointer{}
		return nil
	}
	if err != nil {
		return err
	}
	out, err := c.cfg.Submitter.Submit(ctx, []Command{RecordBase{candidate.Revision}}, &Guard{Role: role.Name, RoleEpoch: role.Epoch})
	if err != nil || out.Code != CodeOK {
		return err
	}
	if got := out.Commands[0]; got.Code != CodeOK {
		c.cfg.Logger.Warn("a checkpoint was not made a recovery base", "object", candidate.Key(), "reason", got.Text)
		return nil
	}
	c.lastBase = time.Now()
	return nil
}

// abandon marks objects that this session has written, or tried to, and to which
// nothing refers, for deletion. It may be called where it is not known whether an
// entry that refers to them was committed: this one comes after it, and apply marks
// nothing that is in use. Where abandon fails, the session's end does it.
func (c *Maintenance) abandon(ctx context.Context, objects ...Leftover) error {
	_, err := c.cfg.Submitter.Submit(ctx, []Command{AbandonObjects{objects}}, nil)
	return err
}
