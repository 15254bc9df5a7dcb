package etcdlog

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// TryRole implements metadata.Log. If the session holds the role already, ok is
// true, with the same epoch. Every broker calls it every few seconds, and the
// role is hardly ever free. So it is read first and written only if it is free,
// as every member of etcd keeps a write in its raft log.
func (l *Log) TryRole(ctx context.Context, id metadata.SessionID, name string) (metadata.Role, bool, error) {
	s, err := l.findSession(id)
	if err != nil {
		return metadata.Role{}, false, fmt.Errorf("take role %s: %w", name, err)
	}
	if !isValidName(name) {
		return metadata.Role{}, false, fmt.Errorf("take role %q: a name is 1 to 128 of [A-Za-z0-9._:-]", name)
	}
	role, free, err := l.readHolder(ctx, s, name)
	if err == nil && free {
		var taken bool
		if role, taken, err = l.takeRole(ctx, s, name); err == nil && !taken {
			role, _, err = l.readHolder(ctx, s, name) // another session was faster, or this one is over
		}
	}
	if err != nil {
		return metadata.Role{}, false, fmt.Errorf("take role %s: %w", name, l.addAdvice(ctx, err))
	}
	return role, role.Epoch != 0, nil
}

// readHolder reads whether a role is free, or held by the session, in which case
// role has its epoch. ErrSessionLost where the session is over.
func (l *Log) readHolder(ctx context.Context, s *session, name string) (role metadata.Role, free bool, err error) {
	key := l.k.roleKey(name)
	st, err := l.readState(ctx, key, s.key)
	if err != nil {
		return role, false, err
	}
	if !s.isKey(st.values[s.key]) {
		s.markLost()
		return role, false, metadata.ErrSessionLost
	}
	switch kv := st.values[key]; {
	case kv == nil:
		return role, true, nil
	case kv.Lease == s.lease:
		role = metadata.Role{Name: name, Session: s.ID(), Epoch: metadata.RoleEpoch(l.toLogRevision(kv.CreateRevision))}
	}
	return role, false, nil
}

// takeRole puts the key of a free role. taken is false where the comparisons
// failed.
func (l *Log) takeRole(ctx context.Context, s *session, name string) (role metadata.Role, taken bool, err error) {
	key := l.k.roleKey(name)
	resp, err := l.sendOnce(ctx, key, &txnReq{
		Compare: append(s.sessionFence(), compareAbsent(key)),
		Success: []*op{putLeaseOp(key, []byte(s.ID().String()), s.lease)},
	})
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		s.markLost()
		return role, false, fmt.Errorf("its lease is gone: %w", metadata.ErrSessionLost)
	case err != nil:
		return role, false, err
	}
	rev := resp.Header.GetRevision()
	l.seen.advance(progress{rev: rev})
	if !resp.Succeeded {
		return role, false, nil
	}
	return metadata.Role{Name: name, Session: s.ID(), Epoch: metadata.RoleEpoch(l.toLogRevision(rev))}, true, nil
}

// ReleaseRole releases a role while its session goes on, for a drain. No error
// where it is no longer held.
func (l *Log) ReleaseRole(ctx context.Context, role metadata.Role) error {
	fence, err := l.roleFence(role)
	if err != nil {
		return fmt.Errorf("release role %s: %w", role.Name, err)
	}
	key := []byte(l.k.roleKey(role.Name))
	if _, err := l.sendOnce(ctx, string(key), &txnReq{Compare: fence, Success: []*op{deleteRangeOp(key, key)}}); err != nil {
		return fmt.Errorf("release role %s: %w", role.Name, err)
	}
	return nil
}

// roleFence returns comparisons that hold as long as the session holds the role,
// in this incarnation.
func (l *Log) roleFence(role metadata.Role) ([]*compare, error) {
	s, err := l.findSession(role.Session)
	if err != nil {
		return nil, err
	}
	return append(s.sessionFence(), compareCreated(l.k.roleKey(role.Name), l.toEtcdRevision(int64(role.Epoch)))), nil
}

// sendFenced sends a write under a role: t's comparisons and the fence, then t's
// writes, or else its reads. It repeats requests without a response. ErrRoleLost
// where the fence failed; resp.Succeeded is false where only t's own comparisons
// did. unsure: an earlier attempt has an unknown outcome.
func (l *Log) sendFenced(ctx context.Context, role metadata.Role, name string, t *txnReq) (resp *txnResp, st logState, unsure bool, err error) {
	fence, err := l.roleFence(role)
	if err != nil {
		return nil, st, false, err
	}
	s, _ := l.findSession(role.Session)
	roleKey := l.k.roleKey(role.Name)
	full := &txnReq{
		Compare: append(fence, t.Compare...),
		Success: t.Success,
		Failure: append(append(l.stateOps(), getOp(roleKey), getOp(s.key)), t.Failure...),
	}
	at := &retrier{l: l, name: name}
	for {
		before := l.seen.get()
		resp, err = at.sendTxn(ctx, full)
		switch {
		case err == nil && resp.Succeeded:
			l.seen.advance(progress{rev: resp.Header.GetRevision()})
			return resp, st, unsure, nil
		case err == nil:
			if st, err = l.decodeState(before, resp); err != nil {
				return nil, st, unsure, l.addAdvice(ctx, err)
			}
			return resp, st, unsure, l.checkRoleHeld(st, role, s)
		case isRefused(err):
			return nil, st, unsure, err
		}
		unsure = true
		if err := at.waitForRetry(ctx, err); err != nil {
			return nil, st, unsure, err
		}
	}
}

// checkRoleHeld returns ErrRoleLost where a read of both keys did not find the
// role or its session.
func (l *Log) checkRoleHeld(st logState, role metadata.Role, s *session) error {
	if kv := st.values[l.k.roleKey(role.Name)]; kv == nil || kv.CreateRevision != l.toEtcdRevision(int64(role.Epoch)) || !s.isKey(st.values[s.key]) {
		return fmt.Errorf("role %s of epoch %d: %w", role.Name, role.Epoch, metadata.ErrRoleLost)
	}
	return nil
}

// readWithRole reads the log's own keys; ErrRoleLost where the role is gone.
func (l *Log) readWithRole(ctx context.Context, role metadata.Role) (logState, error) {
	s, err := l.findSession(role.Session)
	if err != nil {
		return logState{}, err
	}
	st, err := l.readState(ctx, l.k.roleKey(role.Name), s.key)
	if err != nil {
		return st, l.addAdvice(ctx, err)
	}
	return st, l.checkRoleHeld(st, role, s)
}
