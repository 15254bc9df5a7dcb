package metadata

import (
	"context"
	"fmt"
	"time"
)

// agreementTimeout is how long a checkpoint waits for another broker to publish the
// same hash before the next one is tried instead.
const agreementTimeout = 20 * time.Second

// writeCheckpoint is one pass of the checkpoint role: mark a revision, write the
// state as it was there, and move the pointer once another live broker, if
// there is one, has computed the same hash.
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
	out, err := c.cfg.Submitter.Submit(ctx, []Command{Mark{}}, &Guard{Role: role.Name, RoleEpoch: role.Epoch})
	if err != nil || out.Code != CodeOK {
		return err
	}
	frozen := c.cfg.Replica.TakeSnapshot()
	if frozen == nil || frozen.revision != out.Revision {
		return nil // another Mark came between
	}
	key := CheckpointKey(start.Incarnation, frozen.revision, c.cfg.Session.ID())
	c.checkpointer.Pause = newPauser(ctx)
	body := c.checkpointer.Encode(frozen, key)
	if err := c.cfg.Store.Put(ctx, key, body); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	p := CheckpointPointer{Revision: frozen.revision, Extent: frozen.extent, Object: key, Hash: frozen.Hash()}
	if agreed, err := c.awaitAgreement(ctx, p); err != nil || !agreed {
		return err
	}
	if err := c.cfg.Admin.SetCheckpoint(ctx, role, p); err != nil {
		return err
	}
	c.checkpointer.Commit()
	c.checkpointedEntries = frozen.entries + 1 // a Mark alone is no reason for the next
	return nil
}

// maxPause bounds one pause of an encoding, and by that the whole of them on a
// machine so busy that every burst looks long.
const maxPause = 10 * time.Millisecond

// newPauser returns what pauses between bursts of work for twice as long as the
// burst took: a checkpoint of a large state then takes a third of a core.
func newPauser(ctx context.Context) func() {
	began := time.Now()
	return func() {
		if worked := time.Since(began); worked > 0 {
			select {
			case <-time.After(min(2*worked, maxPause)):
			case <-ctx.Done(): // what is encoded then is not written
			}
		}
		began = time.Now()
	}
}

// awaitAgreement waits until another live broker has published the hash at the
// checkpoint's revision. A broker that published another hash is an alarm, and
// the pointer stays where it is.
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
