package etcdlog

import (
	"context"
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// guard turns a further guard into comparisons. holds is false where it is
// already known not to hold.
func (l *Log) guard(ctx context.Context, g *metadata.Guard) (cmps []*compare, holds bool, err error) {
	if g.Role != "" {
		cmps = append(cmps, created(l.k.role(g.Role), l.in(int64(g.RoleEpoch))))
	}
	if g.SessionGone != 0 {
		// Its nonce is not known here; that no session key has its create
		// revision says the same.
		cmps = append(cmps, noneCreated(l.k.sessions(), l.in(int64(g.SessionGone))))
	}
	if g.LiveSessions == nil {
		return cmps, true, nil
	}
	live, rev, err := l.list(ctx)
	if err != nil {
		return nil, false, err
	}
	want := slices.Clone(g.LiveSessions)
	slices.Sort(want)
	if !slices.EqualFunc(slices.Compact(want), live, func(id metadata.SessionID, s liveKey) bool { return id == s.ID }) {
		return nil, false, nil
	}
	for _, s := range live {
		cmps = append(cmps, created(s.key, l.in(int64(s.ID))))
	}
	// And none has come since the list.
	return append(cmps, allCreatedBefore(l.k.sessions(), rev+1)), true, nil
}
