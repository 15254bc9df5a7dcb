package metadata

import (
	"context"
	"fmt"
	"time"
)

// agreeFor is how long a checkpoint waits for another broker to publish the
// same hash before the next one is tried instead.
const agreeFor = 20 * time.Second

// checkpoint is one pass of the checkpoint duty: mark a revision, write the
// state as it was there, and move the pointer once another live broker, if
// there is one, has computed the same hash.
func (c *Maintenance) checkpoint(ctx context.Context, d Role) error {
	var entries uint64
	c.cfg.Replica.View(func(s *State) { entries = s.entries })
	if entries == c.checkpointed {
		return nil
	}
	start, err := c.cfg.Log.Start(ctx)
	if err != nil {
		return err
	}
	c.cfg.Replica.RequestSnapshot()
	out, err := c.cfg.Submitter.Submit(ctx, []Command{Mark{}}, &Guard{Role: d.Name, RoleEpoch: d.Epoch})
	if err != nil || out.Code != CodeOK {
		return err
	}
	frozen := c.cfg.Replica.TakeSnapshot()
	if frozen == nil || frozen.revision != out.Revision {
		return nil // another Mark came between
	}
	key := CheckpointKey(start.Incarnation, frozen.revision, c.cfg.Session.ID())
	c.ckpt.Rest = resting(ctx)
	body := c.ckpt.Encode(frozen, key)
	if err := c.cfg.Store.Put(ctx, key, body); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	p := CheckpointPointer{Revision: frozen.revision, Extent: frozen.extent, Object: key, Hash: frozen.Hash()}
	if agreed, err := c.agreed(ctx, p); err != nil || !agreed {
		return err
	}
	if err := c.cfg.Admin.SetCheckpoint(ctx, d, p); err != nil {
		return err
	}
	c.ckpt.Keep()
	c.checkpointed = frozen.entries + 1 // a Mark alone is no reason for the next
	return nil
}

// maxRest bounds one pause of an encoding, and by that the whole of them on a
// machine so busy that every burst looks long.
const maxRest = 10 * time.Millisecond

// resting returns what pauses between bursts of work for twice as long as the
// burst took: a checkpoint of a large state then takes a third of a core.
func resting(ctx context.Context) func() {
	began := time.Now()
	return func() {
		if worked := time.Since(began); worked > 0 {
			select {
			case <-time.After(min(2*worked, maxRest)):
			case <-ctx.Done(): // what is encoded then is not written
			}
		}
		began = time.Now()
	}
}

// agreed waits until another live broker has published the hash at the
// checkpoint's revision. A broker that published another hash is an alarm, and
// the pointer stays where it is.
func (c *Maintenance) agreed(ctx context.Context, p CheckpointPointer) (bool, error) {
	deadline := time.Now().Add(agreeFor)
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
			c.cfg.Logger.Error("ALARM: brokers disagree about the state", "revision", p.Revision, "hash", fmt.Sprintf("%016x", p.Hash),
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
