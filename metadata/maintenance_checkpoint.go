package metadata

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// agreementTimeout is how long a checkpoint waits for another broker to publish
// the same hash before it is given up for the next one.
const agreementTimeout = 20 * time.Second

// writeCheckpoint is one pass of the checkpoint role: it commits a RecordStateHash, writes
// the state as of that revision, and moves the pointer once another live broker,
// if there is one, has computed the same hash.
func (c *Maintenance) writeCheckpoint(ctx context.Context, role Role) error {
	var entries uint64
	c.cfg.Replica.View(func(s *State) { entries = s.entries })
	if entries == c.checkpointedEntries {
		return nil
	}
	start, err := c.cfg.Log.Start(ctx)
	if err != nil {
		return err
	}
	c.cfg.Replica.RequestSnapshot()
	out, err := c.cfg.Submitter.Submit(ctx, []Command{RecordStateHash{}}, &Guard{Role: role.Name, RoleEpoch: role.Epoch})
	if err != nil || out.Code != CodeOK {
		return err
	}
	snapshot := c.cfg.Replica.TakeSnapshot()
	if snapshot == nil || snapshot.revision != out.Revision {
		return nil // the snapshot is of another RecordStateHash
	}
	key := CheckpointKey(start.Incarnation, snapshot.revision, c.cfg.Session.ID())
	c.checkpointer.Pause = newPauser(ctx)
	body := c.checkpointer.Encode(snapshot, key)
	written := Leftover{ObjectCheckpoint, key, int64(len(body))}
	if err := c.cfg.Store.Put(ctx, key, body); err != nil {
		return errors.Join(fmt.Errorf("write checkpoint: %w", err), c.abandon(ctx, written))
	}
	p := CheckpointPointer{Revision: snapshot.revision, Extent: snapshot.extent, Object: key, Hash: snapshot.Hash()}
	if agreed, err := c.awaitAgreement(ctx, p); err != nil || !agreed {
		return errors.Join(err, c.abandon(ctx, written))
	}
	// The state knows the checkpoint before the pointer is there: what the pointer
	// names is never garbage.
	record := RecordCheckpoint{p.Revision, p.Extent, p.Hash, c.checkpointer.References()}
	if out, err = c.cfg.Submitter.Submit(ctx, []Command{record}, &Guard{Role: role.Name, RoleEpoch: role.Epoch}); err != nil {
		c.checkpointer = Checkpointer{}
		return errors.Join(err, c.abandon(ctx, written))
	}
	if out.Code != CodeOK || out.Commands[0].Code != CodeOK {
		c.checkpointer = Checkpointer{}
		return c.abandon(ctx, written)
	}
	c.checkpointer.Commit()
	if err := c.cfg.Admin.SetCheckpoint(ctx, role, p); err != nil {
		return err
	}
	c.checkpointedEntries = snapshot.entries + 1 // a RecordStateHash alone needs no new checkpoint
	return nil
}

// maxPause bounds one pause of an encoding, and so all of them together on a
// computer so busy that every burst takes long.
const maxPause = 10 * time.Millisecond

// newPauser returns a function that pauses between bursts of work for twice as
// long as the burst took: a checkpoint of a large state then takes a third of a
// core.
func newPauser(ctx context.Context) func() {
	began := time.Now()
	return func() {
		if worked := time.Since(began); worked > 0 {
			select {
			case <-time.After(min(2*worked, maxPause)):
			case <-ctx.Done(): // the result is not written then
			}
		}
		began = time.Now()
	}
}

// awaitAgreement waits until another live broker has published the same hash at
// the checkpoint's revision. Another hash is an alarm, and the pointer stays
// where it is.
func (c *Maintenance) awaitAgreement(ctx context.Context, p CheckpointPointer) (bool, error) {
	deadline := time.Now().Add(agreementTimeout)
	for {
		live, _, err := c.cfg.Admin.Sessions(ctx)
		if err != nil {
			return false, err
		}
		others := 0
		for _, l := range live {
			if l.ID == c.cfg.Session.ID() || l.Status.Applied == 0 {
				continue
			}
			others++
			if l.Status.HashRevision != p.Revision {
				continue
			}
			if l.Status.Hash == p.Hash {
				return true, nil
			}
			c.cfg.Logger.Error("ALARM: brokers have different state hashes", "revision", p.Revision, "hash", fmt.Sprintf("%016x", p.Hash),
				"broker", l.Status.Broker, "its_hash", fmt.Sprintf("%016x", l.Status.Hash))
		}
		if others == 0 {
			return true, nil
		}
		if time.Now().After(deadline) {
			return false, nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}
