package etcdlog

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// TryRole implements metadata.Log. A duty that the session holds already is
// its own: ok, with the same epoch. It is asked every few seconds by every
// broker, and hardly ever free: so it is read first, and only a free one is
// written, which every member of etcd keeps in its raft log.
func (l *Log) TryRole(ctx context.Context, id metadata.SessionID, name string) (metadata.Role, bool, error) {
	s, err := l.findSession(id)
	if err != nil {
		return metadata.Role{}, false, fmt.Errorf("take role %s: %w", name, err)
	}
	if !isValidName(name) {
		return metadata.Role{}, false, fmt.Errorf("take role %q: a name is 1 to 128 of [A-Za-z0-9._:-]", name)
	}
	d, free, err := l.readHolder(ctx, s, name)
	if err == nil && free {
		var taken bool
		if d, taken, err = l.takeRole(ctx, s, name); err == nil && !taken {
			d, _, err = l.readHolder(ctx, s, name) // somebody was faster, or the session is over
		}
	}
	if err != nil {
		return metadata.Role{}, false, fmt.Errorf("take role %s: %w", name, l.addAdvice(ctx, err))
	}
	return d, d.Epoch != 0, nil
}

// readHolder reads whether nobody holds a duty, or the session does: then the duty
// has an epoch. ErrSessionLost where the session is over.
func (l *Log) readHolder(ctx context.Context, s *session, name string) (d metadata.Role, free bool, err error) {
	key := l.k.roleKey(name)
	st, err := l.readState(ctx, key, s.key)
	if err != nil {
		return d, false, err
	}
	if !s.isKey(st.values[s.key]) {
		s.markLost()
		return d, false, metadata.ErrSessionLost
	}
	switch kv := st.values[key]; {
	case kv == nil:
		return d, true, nil
	case kv.Lease == s.lease:
		d = metadata.Role{Name: name, Session: s.ID(), Epoch: metadata.RoleEpoch(l.toLogRevision(kv.CreateRevision))}
	}
	return d, false, nil
}

// takeRole puts the key of a duty that nobody holds. taken is false where the
// comparisons failed.
func (l *Log) takeRole(ctx context.Context, s *session, name string) (d metadata.Role, taken bool, err error) {
	key := l.k.roleKey(name)
	resp, err := l.sendOnce(ctx, key, &txnReq{
		Compare: append(s.sessionFence(), compareAbsent(key)),
		Success: []*op{putLeaseOp(key, []byte(s.ID().String()), s.lease)},
	})
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		s.markLost()
		return d, false, fmt.Errorf("its lease is gone: %w", metadata.ErrSessionLost)
	case err != nil:
		return d, false, err
	}
	rev := resp.Header.GetRevision()
	l.seen.advance(progress{rev: rev})
	if !resp.Succeeded {
		return d, false, nil
	}
	return metadata.Role{Name: name, Session: s.ID(), Epoch: metadata.RoleEpoch(l.toLogRevision(rev))}, true, nil
}

// ReleaseRole gives a duty up while its session goes on, for a drain. One
// that is no longer held is released.
func (l *Log) ReleaseRole(ctx context.Context, d metadata.Role) error {
	fence, err := l.roleFence(d)
	if err != nil {
		return fmt.Errorf("release role %s: %w", d.Name, err)
	}
	key := []byte(l.k.roleKey(d.Name))
	if _, err := l.sendOnce(ctx, string(key), &txnReq{Compare: fence, Success: []*op{deleteRangeOp(key, key)}}); err != nil {
		return fmt.Errorf("release role %s: %w", d.Name, err)
	}
	return nil
}

// roleFence is true in etcd as long as the duty is held, by its session, in this
// incarnation.
func (l *Log) roleFence(d metadata.Role) ([]*compare, error) {
	s, err := l.findSession(d.Session)
	if err != nil {
		return nil, err
	}
	return append(s.sessionFence(), compareCreated(l.k.roleKey(d.Name), l.toEtcdRevision(int64(d.Epoch)))), nil
}

// sendFenced does a duty's write: t's comparisons and the fence, then its writes,
// else its reads. It repeats what has no answer. ErrDutyLost where the fence
// failed; ok is false where only t's own comparisons did.
func (l *Log) sendFenced(ctx context.Context, d metadata.Role, name string, t *txnReq) (resp *txnResp, st logState, unsure bool, err error) {
	fence, err := l.roleFence(d)
	if err != nil {
		return nil, st, false, err
	}
	s, _ := l.findSession(d.Session)
	duty := l.k.roleKey(d.Name)
	full := &txnReq{
		Compare: append(fence, t.Compare...),
		Success: t.Success,
		Failure: append(append(l.stateOps(), getOp(duty), getOp(s.key)), t.Failure...),
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
			return resp, st, unsure, l.checkRoleHeld(st, d, s)
		case isRefused(err):
			return nil, st, unsure, err
		}
		unsure = true
		if err := at.waitForRetry(ctx, err); err != nil {
			return nil, st, unsure, err
		}
	}
}

// checkRoleHeld is ErrDutyLost where a duty or its session was gone at a read of
// both keys.
func (l *Log) checkRoleHeld(st logState, d metadata.Role, s *session) error {
	if kv := st.values[l.k.roleKey(d.Name)]; kv == nil || kv.CreateRevision != l.toEtcdRevision(int64(d.Epoch)) || !s.isKey(st.values[s.key]) {
		return fmt.Errorf("role %s of epoch %d: %w", d.Name, d.Epoch, metadata.ErrRoleLost)
	}
	return nil
}

// readWithRole reads the log's own keys; ErrDutyLost where the duty is gone.
func (l *Log) readWithRole(ctx context.Context, d metadata.Role) (logState, error) {
	s, err := l.findSession(d.Session)
	if err != nil {
		return logState{}, err
	}
	st, err := l.readState(ctx, l.k.roleKey(d.Name), s.key)
	if err != nil {
		return st, l.addAdvice(ctx, err)
	}
	return st, l.checkRoleHeld(st, d, s)
}
