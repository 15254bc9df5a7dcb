package etcdlog

import (
	"context"
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// guardCompares returns the comparisons of a guard. holds is false where it is
// already known not to hold.
func (l *Log) guardCompares(ctx context.Context, g *metadata.Guard) (cmps []*compare, holds bool, err error) {
	if g.Role != "" {
		cmps = append(cmps, compareCreated(l.k.roleKey(g.Role), l.toEtcdRevision(int64(g.RoleEpoch))))
	}
	if g.SessionGone != 0 {
		// The session's nonce is not known here; instead, no session key may have
		// its create revision.
		cmps = append(cmps, compareNoneCreated(l.k.sessionPrefix(), l.toEtcdRevision(int64(g.SessionGone))))
	}
	if g.LiveSessions == nil {
		return cmps, true, nil
	}
	live, rev, err := l.listSessionKeys(ctx)
	if err != nil {
		return nil, false, err
	}
	want := slices.Clone(g.LiveSessions)
	slices.Sort(want)
	if !slices.EqualFunc(slices.Compact(want), live, func(id metadata.SessionID, s liveSessionKey) bool { return id == s.ID }) {
		return nil, false, nil
	}
	for _, s := range live {
		cmps = append(cmps, compareCreated(s.key, l.toEtcdRevision(int64(s.ID))))
	}
	// And no session was opened since the list.
	return append(cmps, compareAllCreatedBefore(l.k.sessionPrefix(), rev+1)), true, nil
}
