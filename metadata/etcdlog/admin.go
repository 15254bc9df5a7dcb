package etcdlog

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/zonewise/zonewise/metadata"
)

// CloseExtent implements metadata.LogAdmin.
func (l *Log) CloseExtent(ctx context.Context, role metadata.Role, g metadata.Extent) (metadata.Revision, error) {
	key := l.k.extentKey()
	resp, st, unsure, err := l.sendFenced(ctx, role, fmt.Sprintf("close/%d", g), &txnReq{
		Compare: []*compare{compareValueEqual(key, formatHex64(uint64(g)))},
		Success: []*op{putOp(key, []byte(formatHex64(uint64(g)+1)))},
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("close extent %d: %w", g, err)
	case resp.Succeeded:
		l.seen.advance(progress{extent: g + 1})
		return l.toLogRevision(resp.Header.GetRevision()), nil
	case st.extent == g+1 && unsure:
		// An earlier attempt whose response was lost: the key still has its
		// revision.
		return l.toLogRevision(st.values[key].ModRevision), nil
	case st.extent > g:
		return 0, nil
	}
	return 0, fmt.Errorf("close extent %d: the log is at %d", g, st.extent)
}

// ReadExtent implements metadata.LogAdmin. Everything is read before the first
// call of deliver, so a compaction meanwhile is not visible to the caller.
func (l *Log) ReadExtent(ctx context.Context, g metadata.Extent, deliver func(metadata.CommittedEntry) error) error {
	at := &retrier{l: l, name: fmt.Sprintf("read/%d", g)}
	for {
		st, err := l.readState(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("read extent %d: %w", g, l.addAdvice(ctx, err))
		case st.extent <= g:
			return fmt.Errorf("read extent %d: it is not closed, the log is at %d", g, st.extent)
		case st.truncated >= g:
			return fmt.Errorf("read extent %d: extents up to %d are in the bucket: %w", g, st.truncated, metadata.ErrCompacted)
		}
		all, err := l.readExtentAt(ctx, g, st.rev)
		if errors.Is(err, metadata.ErrCompacted) {
			if err := at.waitForRetry(ctx, err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		for _, c := range all {
			if err := deliver(c); err != nil {
				return err
			}
		}
		return nil
	}
}

// SetCheckpoint implements metadata.LogAdmin.
func (l *Log) SetCheckpoint(ctx context.Context, role metadata.Role, p metadata.CheckpointPointer) error {
	value, err := encodePointer(p)
	if err != nil {
		return fmt.Errorf("set checkpoint: %w", err)
	}
	key := l.k.checkpointKey()
	st, err := l.readState(ctx, key)
	if err != nil {
		return fmt.Errorf("set checkpoint: %w", l.addAdvice(ctx, err))
	}
	for {
		was := st.values[key]
		mod := int64(0)
		if was != nil {
			have, err := decodePointer(was.Value)
			if err != nil {
				return fmt.Errorf("set checkpoint: %w", err)
			}
			if have.Revision >= p.Revision {
				return nil
			}
			mod = was.ModRevision
		}
		resp, now, _, err := l.sendFenced(ctx, role, fmt.Sprintf("checkpoint/%d", p.Revision), &txnReq{
			Compare: []*compare{compareModified(key, mod)},
			Success: []*op{putOp(key, value)},
			Failure: []*op{getOp(key)},
		})
		if err != nil {
			return fmt.Errorf("set checkpoint: %w", err)
		}
		if resp.Succeeded {
			return nil
		}
		st = now
	}
}

// DeleteArchived implements metadata.LogAdmin. It is called repeatedly for the same
// extent, to finish what an earlier holder began, and then only reads.
func (l *Log) DeleteArchived(ctx context.Context, role metadata.Role, g metadata.Extent, object string) error {
	to := truncated{extent: g, archive: object}
	st, err := l.readWithRole(ctx, role)
	if err == nil && st.truncated < g {
		st, err = l.setTruncated(ctx, role, to)
	}
	if err == nil && st.truncated == g && st.archive != object {
		err = fmt.Errorf("etcd has %s as its archive, this broker's state has %s", st.archive, object)
	}
	if err == nil {
		err = l.deleteExtentsUpTo(ctx, role, g)
	}
	if err != nil {
		return fmt.Errorf("truncate extent %d: %w", g, err)
	}
	return nil
}

// setTruncated records that extents up to to's are read from the bucket. It
// returns the state with what is recorded now.
func (l *Log) setTruncated(ctx context.Context, role metadata.Role, to truncated) (logState, error) {
	value, err := to.encode()
	if err != nil {
		return logState{}, err
	}
	key, g := l.k.truncatedKey(), to.extent
	resp, st, _, err := l.sendFenced(ctx, role, fmt.Sprintf("truncate/%d", g), &txnReq{
		Compare: []*compare{
			compareTruncatedBelow(key, g),
			compareValue(l.k.extentKey(), etcdserverpb.Compare_GREATER, formatHex64(uint64(g))),
		},
		Success: []*op{putOp(key, value)},
	})
	switch {
	case err != nil:
		return st, err
	case resp.Succeeded:
		l.seen.advance(progress{truncated: g})
		st.truncated, st.archive = g, to.archive
	case st.extent <= g:
		return st, fmt.Errorf("it is not closed, the log is at %d", st.extent)
	}
	return st, nil
}

// deleteExtentsUpTo deletes the keys of extents up to g: few at a time, each
// delete fenced and followed by a pause for commits.
func (l *Log) deleteExtentsUpTo(ctx context.Context, role metadata.Role, g metadata.Extent) error {
	prefix := l.k.logPrefix()
	end := []byte(l.k.extentPrefix(g + 1))
	at := &retrier{l: l, name: fmt.Sprintf("delete/%d", g)}
	for n := 0; ; n++ {
		// Linearizable: an older view would have keys that are gone.
		page, err := l.readPage(ctx, at, &rangeReq{Key: []byte(prefix), RangeEnd: end, Limit: deleteKeys, KeysOnly: true})
		if err != nil {
			return err
		}
		if len(page.Kvs) == 0 {
			return nil
		}
		resp, st, _, err := l.sendFenced(ctx, role, fmt.Sprintf("delete/%d/%d", g, n), &txnReq{
			Compare: []*compare{compareTruncatedCovers(l.k.truncatedKey(), g)},
			Success: []*op{deleteRangeOp(page.Kvs[0].Key, page.Kvs[len(page.Kvs)-1].Key)},
		})
		if err != nil {
			return err
		}
		if !resp.Succeeded {
			return fmt.Errorf("etcd's truncated is %d after it was %d: %w", st.truncated, g, metadata.ErrOlderLog)
		}
		if !page.More {
			return nil
		}
		if err := l.sleep(ctx, l.cfg.DeletePause/2+l.jitter("delete", prefix, n, l.cfg.DeletePause)); err != nil {
			return err
		}
	}
}
