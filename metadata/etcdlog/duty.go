package etcdlog

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// TryDuty implements metadata.Log. A duty that the session holds already is
// its own: ok, with the same epoch.
func (l *Log) TryDuty(ctx context.Context, id metadata.SessionID, name string) (metadata.Duty, bool, error) {
	s, err := l.session(id)
	if err != nil {
		return metadata.Duty{}, false, fmt.Errorf("take duty %s: %w", name, err)
	}
	if !validName(name) {
		return metadata.Duty{}, false, fmt.Errorf("take duty %q: a name is 1 to 128 of [A-Za-z0-9._:-]", name)
	}
	key := l.k.duty(name)
	before := l.seen.get()
	resp, err := l.once(ctx, key, &txnReq{
		Compare: append(s.fence(), absent(key)),
		Success: []*op{putLease(key, []byte(id.String()), s.lease)},
		Failure: append(l.standingOps(), get(key), get(s.key)),
	})
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		s.lost()
		err = fmt.Errorf("its lease is gone: %w", metadata.ErrSessionLost)
	}
	if err != nil {
		return metadata.Duty{}, false, fmt.Errorf("take duty %s: %w", name, err)
	}
	d := metadata.Duty{Name: name, Session: id}
	if resp.Succeeded {
		rev := resp.Header.GetRevision()
		l.seen.learn(marks{rev: rev})
		d.Epoch = metadata.DutyEpoch(l.out(rev))
		return d, true, nil
	}
	st, err := l.standingOf(before, resp)
	if err != nil {
		return metadata.Duty{}, false, fmt.Errorf("take duty %s: %w", name, err)
	}
	if !s.is(st.got[s.key]) {
		s.lost()
		return metadata.Duty{}, false, fmt.Errorf("take duty %s: %w", name, metadata.ErrSessionLost)
	}
	kv := st.got[key]
	if kv == nil || kv.Lease != s.lease {
		return metadata.Duty{}, false, nil
	}
	d.Epoch = metadata.DutyEpoch(l.out(kv.CreateRevision))
	return d, true, nil
}

// ReleaseDuty gives a duty up while its session goes on, for a drain. One
// that is no longer held is released.
func (l *Log) ReleaseDuty(ctx context.Context, d metadata.Duty) error {
	fence, err := l.fence(d)
	if err != nil {
		return fmt.Errorf("release duty %s: %w", d.Name, err)
	}
	key := []byte(l.k.duty(d.Name))
	if _, err := l.once(ctx, string(key), &txnReq{Compare: fence, Success: []*op{deleteRange(key, key)}}); err != nil {
		return fmt.Errorf("release duty %s: %w", d.Name, err)
	}
	return nil
}

// fence is true in etcd as long as the duty is held, by its session, in this
// incarnation.
func (l *Log) fence(d metadata.Duty) ([]*compare, error) {
	s, err := l.session(d.Session)
	if err != nil {
		return nil, err
	}
	return append(s.fence(), created(l.k.duty(d.Name), l.in(int64(d.Epoch)))), nil
}

// fenced does a duty's write: t's comparisons and the fence, then its writes,
// else its reads. It repeats what has no answer. ErrDutyLost where the fence
// failed; ok is false where only t's own comparisons did.
func (l *Log) fenced(ctx context.Context, d metadata.Duty, name string, t *txnReq) (resp *txnResp, st standing, unsure bool, err error) {
	fence, err := l.fence(d)
	if err != nil {
		return nil, st, false, err
	}
	s, _ := l.session(d.Session)
	duty := l.k.duty(d.Name)
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
				return nil, st, unsure, err
			}
			if kv := st.got[duty]; kv == nil || kv.CreateRevision != l.in(int64(d.Epoch)) || !s.is(st.got[s.key]) {
				return nil, st, unsure, fmt.Errorf("duty %s of epoch %d: %w", d.Name, d.Epoch, metadata.ErrDutyLost)
			}
			return resp, st, unsure, nil
		case refused(err):
			return nil, st, unsure, err
		}
		unsure = true
		if err := at.next(ctx, err); err != nil {
			return nil, st, unsure, err
		}
	}
}
