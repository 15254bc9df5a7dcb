package etcdlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// sample is where etcd was at a time, so that compaction can tell what is
// older than compactionKeeps.
type sample struct {
	at  time.Time
	rev int64
}

// CompactStore implements metadata.LogAdmin: compacts behind the slowest follower
// (behind, 0 where none is known), but waits for no follower longer than five
// minutes. It returns the store's health even where there is nothing to do.
func (l *Log) CompactStore(ctx context.Context, d metadata.Role, behind metadata.Revision) (metadata.StoreHealth, error) {
	fence, err := l.fence(d)
	if err != nil {
		return metadata.StoreHealth{}, fmt.Errorf("care for etcd: %w", err)
	}
	before := l.seen.get()
	resp, err := l.once(ctx, "care", &txnReq{Compare: fence, Success: l.standingOps(), Failure: l.standingOps()})
	if err != nil {
		return metadata.StoreHealth{}, fmt.Errorf("care for etcd: %w", err)
	}
	st, err := l.standingOf(before, resp)
	if err != nil {
		return metadata.StoreHealth{}, fmt.Errorf("care for etcd: %w", l.advise(ctx, err))
	}
	if !resp.Succeeded {
		return metadata.StoreHealth{}, fmt.Errorf("care for etcd: duty %s of epoch %d: %w", d.Name, d.Epoch, metadata.ErrRoleLost)
	}
	if to := l.compactTo(st.rev, l.in(int64(behind))); to > 0 {
		// Compaction is no txn and cannot be fenced; like an operator's own
		// it loses nothing, whoever does it.
		if err := l.c.Compact(ctx, to); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
			return metadata.StoreHealth{}, fmt.Errorf("compact etcd behind revision %d: %w", l.out(to), err)
		}
	}
	s, err := l.c.Status(ctx)
	if err != nil {
		return metadata.StoreHealth{}, fmt.Errorf("care for etcd: %w", err)
	}
	h := metadata.StoreHealth{SizeBytes: s.SizeBytes, InUseBytes: s.InUseBytes, QuotaBytes: s.QuotaBytes, Members: len(s.Members)}
	for _, m := range s.Members {
		if m.Leader && l.cfg.MemberZone != nil {
			h.Leader = l.cfg.MemberZone(m.Name)
		}
	}
	return h, nil
}

// compactTo is the revision to compact behind, 0 for none: behind, or what
// etcd had reached five minutes ago if that is more.
func (l *Log) compactTo(now, behind int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := time.Now()
	l.history = append(l.history, sample{t, now})
	to := max(behind, 0)
	for len(l.history) > 0 && t.Sub(l.history[0].at) >= compactionKeeps {
		to = max(to, l.history[0].rev)
		l.history = l.history[1:]
	}
	return min(to, now)
}

// Members tells the etcd members, for the price of what crosses between them.
func (l *Log) Members(ctx context.Context) ([]Member, error) {
	s, err := l.c.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("list etcd members: %w", err)
	}
	return s.Members, nil
}
