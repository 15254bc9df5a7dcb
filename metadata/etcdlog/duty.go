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
	s, err := l.session(id)
	if err != nil {
		return metadata.Role{}, false, fmt.Errorf("take duty %s: %w", name, err)
	}
	if !validName(name) {
		return metadata.Role{}, false, fmt.Errorf("take duty %q: a name is 1 to 128 of [A-Za-z0-9._:-]", name)
	}
	d, free, err := l.holder(ctx, s, name)
	if err == nil && free {
		var taken bool
		if d, taken, err = l.takeRole(ctx, s, name); err == nil && !taken {
			d, _, err = l.holder(ctx, s, name) // somebody was faster, or the session is over
		}
	}
	if err != nil {
		return metadata.Role{}, false, fmt.Errorf("take duty %s: %w", name, l.advise(ctx, err))
	}
	return d, d.Epoch != 0, nil
}

// holder reads whether nobody holds a duty, or the session does: then the duty
// has an epoch. ErrSessionLost where the session is over.
func (l *Log) holder(ctx context.Context, s *session, name string) (d metadata.Role, free bool, err error) {
	key := l.k.role(name)
	st, err := l.read(ctx, key, s.key)
	if err != nil {
		return d, false, err
	}
	if !s.is(st.got[s.key]) {
		s.lost()
		return d, false, metadata.ErrSessionLost
	}
	switch kv := st.got[key]; {
	case kv == nil:
		return d, true, nil
	case kv.Lease == s.lease:
		d = metadata.Role{Name: name, Session: s.ID(), Epoch: metadata.RoleEpoch(l.out(kv.CreateRevision))}
	}
	return d, false, nil
}

// takeRole puts the key of a duty that nobody holds. taken is false where the
// comparisons failed.
func (l *Log) takeRole(ctx context.Context, s *session, name string) (d metadata.Role, taken bool, err error) {
	key := l.k.role(name)
	resp, err := l.once(ctx, key, &txnReq{
		Compare: append(s.fence(), absent(key)),
		Success: []*op{putLease(key, []byte(s.ID().String()), s.lease)},
	})
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		s.lost()
		return d, false, fmt.Errorf("its lease is gone: %w", metadata.ErrSessionLost)
	case err != nil:
		return d, false, err
	}
	rev := resp.Header.GetRevision()
	l.seen.learn(marks{rev: rev})
	if !resp.Succeeded {
		return d, false, nil
	}
	return metadata.Role{Name: name, Session: s.ID(), Epoch: metadata.RoleEpoch(l.out(rev))}, true, nil
}

// ReleaseRole gives a duty up while its session goes on, for a drain. One
// that is no longer held is released.
func (l *Log) ReleaseRole(ctx context.Context, d metadata.Role) error {
	fence, err := l.fence(d)
	if err != nil {
		return fmt.Errorf("release duty %s: %w", d.Name, err)
	}
	key := []byte(l.k.role(d.Name))
	if _, err := l.once(ctx, string(key), &txnReq{Compare: fence, Success: []*op{deleteRange(key, key)}}); err != nil {
		return fmt.Errorf("release duty %s: %w", d.Name, err)
	}
	return nil
}

// fence is true in etcd as long as the duty is held, by its session, in this
// incarnation.
func (l *Log) fence(d metadata.Role) ([]*compare, error) {
	s, err := l.session(d.Session)
	if err != nil {
		return nil, err
	}
	return append(s.fence(), created(l.k.role(d.Name), l.in(int64(d.Epoch)))), nil
}

// fenced does a duty's write: t's comparisons and the fence, then its writes,
// else its reads. It repeats what has no answer. ErrDutyLost where the fence
// failed; ok is false where only t's own comparisons did.
func (l *Log) fenced(ctx context.Context, d metadata.Role, name string, t *txnReq) (resp *txnResp, st standing, unsure bool, err error) {
	fence, err := l.fence(d)
	if err != nil {
		return nil, st, false, err
	}
	s, _ := l.session(d.Session)
	duty := l.k.role(d.Name)
	full := &txnReq{
		Compare: append(fence, t.Compare...),
		Success: t.Success,
		Failure: append(append(l.standingOps(), get(duty), get(s.key)), t.Failure...),
	}
	at := &attempts{l: l, name: name}
	for {
		before := l.seen.get()
		resp, err = at.txn(ctx, full)
		switch {
		case err == nil && resp.Succeeded:
			l.seen.learn(marks{rev: resp.Header.GetRevision()})
			return resp, st, unsure, nil
		case err == nil:
			if st, err = l.standingOf(before, resp); err != nil {
				return nil, st, unsure, l.advise(ctx, err)
			}
			return resp, st, unsure, l.stillHeld(st, d, s)
		case refused(err):
			return nil, st, unsure, err
		}
		unsure = true
		if err := at.next(ctx, err); err != nil {
			return nil, st, unsure, err
		}
	}
}

// stillHeld is ErrDutyLost where a duty or its session was gone at a read of
// both keys.
func (l *Log) stillHeld(st standing, d metadata.Role, s *session) error {
	if kv := st.got[l.k.role(d.Name)]; kv == nil || kv.CreateRevision != l.in(int64(d.Epoch)) || !s.is(st.got[s.key]) {
		return fmt.Errorf("duty %s of epoch %d: %w", d.Name, d.Epoch, metadata.ErrRoleLost)
	}
	return nil
}

// readHeld reads the log's own keys; ErrDutyLost where the duty is gone.
func (l *Log) readHeld(ctx context.Context, d metadata.Role) (standing, error) {
	s, err := l.session(d.Session)
	if err != nil {
		return standing{}, err
	}
	st, err := l.read(ctx, l.k.role(d.Name), s.key)
	if err != nil {
		return st, l.advise(ctx, err)
	}
	return st, l.stillHeld(st, d, s)
}
