package etcdlog

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// deliverEntries is how many listed entries one call of deliver has at most.
const deliverEntries = 1000

// Follow implements metadata.Log. deliver runs on the caller's goroutine.
func (l *Log) Follow(ctx context.Context, from metadata.StartPoint, deliver func([]metadata.CommittedEntry, metadata.Revision, bool) error) error {
	f := &followCall{l: l, deliver: deliver, upTo: l.toEtcdRevision(int64(from.Revision))}
	if err := f.deliverListed(ctx, from); err != nil {
		return fmt.Errorf("follow log from revision %d: %w", from.Revision, l.fenceIfOlder(ctx, err))
	}
	err := l.fenceIfOlder(ctx, f.watchEntries(ctx))
	return fmt.Errorf("follow log after revision %d: %w", l.toLogRevision(f.upTo), err)
}

// followCall is one call of Follow.
type followCall struct {
	l       *Log
	deliver func([]metadata.CommittedEntry, metadata.Revision, bool) error
	upTo    int64 // everything up to it is delivered
}

// deliverListed delivers what is in the log at the start's revision.
func (f *followCall) deliverListed(ctx context.Context, from metadata.StartPoint) error {
	for g := from.ArchivedUpTo + 1; g <= from.Extent; g++ {
		all, err := f.l.readExtentAt(ctx, g, f.upTo)
		if err != nil {
			return err
		}
		for len(all) > 0 {
			n := min(len(all), deliverEntries)
			if err := f.deliver(all[:n:n], all[n-1].Revision, false); err != nil {
				return err
			}
			all = all[n:]
		}
	}
	return f.deliver(nil, from.Revision, true)
}

// watchEntries delivers new entries, and restarts the watch where it ends for a
// temporary reason. It returns when ctx ends or with an error.
func (f *followCall) watchEntries(ctx context.Context) error {
	at := &retrier{l: f.l, name: fmt.Sprintf("watch@%d", f.upTo)}
	for {
		was := f.upTo
		passing, err := f.watchOnce(ctx)
		if !passing {
			return err
		}
		if f.upTo != was {
			at.n = 0
		}
		if err := f.l.waitForCurrentServer(ctx, at, err); err != nil {
			return err
		}
	}
}

// watchOnce delivers one watch's events. passing reports that the watch may be
// restarted.
func (f *followCall) watchOnce(ctx context.Context) (passing bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	b := newBacklog(f.l.c.Watch(ctx, f.l.k.logPrefix(), f.upTo+1))
	defer b.wait() // after cancel: the watch ends with its context
	defer cancel()
	for {
		responses, ended, err := b.takeAll(ctx)
		if err != nil {
			return false, err
		}
		batch, upTo := []metadata.CommittedEntry(nil), f.upTo
		for _, r := range responses {
			if r.Err != nil {
				if err := f.deliverCollected(batch, upTo); err != nil {
					return false, err
				}
				if errors.Is(r.Err, rpctypes.ErrCompacted) {
					return false, metadata.ErrCompacted
				}
				return true, r.Err
			}
			if batch, upTo, err = f.collectEvents(batch, upTo, r); err != nil {
				return false, err
			}
		}
		if err := f.deliverCollected(batch, upTo); err != nil {
			return false, err
		}
		if ended {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			return true, errors.New("watch ended")
		}
	}
}

// collectEvents adds a response's new entries. With events only their own
// revisions count; a progress response gives the revision up to which nothing is
// missing.
func (f *followCall) collectEvents(batch []metadata.CommittedEntry, upTo int64, r WatchResponse) ([]metadata.CommittedEntry, int64, error) {
	if len(r.Events) == 0 {
		return batch, max(upTo, r.Revision), nil
	}
	for _, e := range r.Events {
		if e.Type != mvccpb.Event_PUT || e.Kv.ModRevision <= upTo {
			continue
		}
		c, err := f.l.decodeEntry(e.Kv)
		if err != nil {
			return nil, 0, err
		}
		batch, upTo = append(batch, c), e.Kv.ModRevision
		f.l.seen.advance(progress{rev: upTo, head: upTo, extent: c.Extent})
	}
	return batch, upTo, nil
}

// deliverCollected delivers what was collected, if anything is new.
func (f *followCall) deliverCollected(batch []metadata.CommittedEntry, upTo int64) error {
	if upTo == f.upTo {
		return nil
	}
	f.upTo = upTo
	return f.deliver(batch, f.l.toLogRevision(upTo), true)
}
