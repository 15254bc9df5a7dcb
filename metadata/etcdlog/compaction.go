package etcdlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// revisionSample is etcd's revision at a time, so that compaction finds out which
// revisions are older than compactionMaxWait.
type revisionSample struct {
	at  time.Time
	rev int64
}

// CompactStore implements metadata.LogAdmin. It compacts behind the slowest
// follower (behind, 0 where none is known), but waits for a follower at most five
// minutes. It returns the store's health also where there is nothing to compact.
func (l *Log) CompactStore(ctx context.Context, role metadata.Role, behind metadata.Revision) (metadata.StoreHealth, error) {
	fence, err := l.roleFence(role)
	if err != nil {
		return metadata.StoreHealth{}, fmt.Errorf("compact etcd: %w", err)
	}
	before := l.seen.get()
	resp, err := l.sendOnce(ctx, "care", &txnReq{Compare: fence, Success: l.stateOps(), Failure: l.stateOps()})
	if err != nil {
		return metadata.StoreHealth{}, fmt.Errorf("compact etcd: %w", err)
	}
	st, err := l.decodeState(before, resp)
	if err != nil {
		return metadata.StoreHealth{}, fmt.Errorf("compact etcd: %w", l.addAdvice(ctx, err))
	}
	if !resp.Succeeded {
		return metadata.StoreHealth{}, fmt.Errorf("compact etcd: role %s of epoch %d: %w", role.Name, role.Epoch, metadata.ErrRoleLost)
	}
	if to := l.compactionTarget(st.rev, l.toEtcdRevision(int64(behind))); to > 0 {
		// Compaction is not a txn and cannot be fenced. Like an operator's, it
		// loses nothing, from whichever broker it comes.
		if err := l.c.Compact(ctx, to); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
			return metadata.StoreHealth{}, fmt.Errorf("compact etcd behind revision %d: %w", l.toLogRevision(to), err)
		}
	}
	s, err := l.c.Status(ctx)
	if err != nil {
		return metadata.StoreHealth{}, fmt.Errorf("compact etcd: %w", err)
	}
	h := metadata.StoreHealth{SizeBytes: s.SizeBytes, InUseBytes: s.InUseBytes, QuotaBytes: s.QuotaBytes, Members: len(s.Members)}
	for _, m := range s.Members {
		if m.Leader && l.cfg.MemberZone != nil {
			h.Leader = l.cfg.MemberZone(m.Name)
		}
	}
	return h, nil
}

// compactionTarget returns the revision to compact behind, 0 for none: behind, or
// etcd's revision of five minutes ago if that is higher.
func (l *Log) compactionTarget(now, behind int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := time.Now()
	l.revisionHistory = append(l.revisionHistory, revisionSample{t, now})
	to := max(behind, 0)
	for len(l.revisionHistory) > 0 && t.Sub(l.revisionHistory[0].at) >= compactionMaxWait {
		to = max(to, l.revisionHistory[0].rev)
		l.revisionHistory = l.revisionHistory[1:]
	}
	return min(to, now)
}

// Members returns the etcd members, to price the traffic between them.
func (l *Log) Members(ctx context.Context) ([]Member, error) {
	s, err := l.c.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("list etcd members: %w", err)
	}
	return s.Members, nil
}
