package etcdlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// Append implements metadata.Log.
func (l *Log) Append(ctx context.Context, r metadata.AppendRequest) (metadata.AppendResult, error) {
	res, err := l.append(ctx, r)
	if err != nil {
		err = l.shut(ctx, err)
		return res, fmt.Errorf("append %v/%v/%d: %w", r.Key.Session, r.Key.Lane, r.Key.Seq, err)
	}
	return res, nil
}

func (l *Log) append(ctx context.Context, r metadata.AppendRequest) (metadata.AppendResult, error) {
	switch {
	case r.Key.Lane >= metadata.LaneCount || r.Key.Seq == 0:
		return metadata.AppendResult{}, errors.New("BUG: no such lane, or sequence 0")
	case len(r.Bytes) == 0 || len(r.Bytes) > metadata.MaxEntryBytes:
		return metadata.AppendResult{}, fmt.Errorf("BUG: entry of %d bytes; want 1 to %d", len(r.Bytes), metadata.MaxEntryBytes)
	}
	s, err := l.session(r.Key.Session)
	if err != nil {
		return metadata.AppendResult{}, err
	}
	p, err := s.begin(r.Key)
	if err != nil || p.done {
		return p.res, errors.Join(err, p.err)
	}
	if p.extent == 0 {
		if p.extent = l.seen.get().extent; p.extent == 0 {
			p.extent = 1
		}
	}
	a := &appending{l: l, s: s, r: r, p: p, name: l.k.entry(0, r.Key)}
	res, err := a.run(ctx)
	a.p.res, a.p.err = res, err
	a.p.done = err == nil || errors.Is(err, metadata.ErrSessionLost) || errors.Is(err, metadata.ErrNotKnown)
	s.end(r.Key.Lane, a.p)
	return res, err
}

// appending is one call of Append.
type appending struct {
	l    *Log
	s    *session
	r    metadata.AppendRequest
	p    pending
	name string // of the entry whatever its generation, for jitter
	// empty: the attempt puts an empty entry, because the guard does not hold.
	empty bool
	// late: an attempt of unknown outcome had put the entry in place.
	late bool
}

// verdict is what one attempt has told.
type verdict uint8

const (
	final verdict = iota // result and error are the entry's fate
	moved                // its generation has closed: send it again at once
	again                // error says why nothing is known: ask again after a pause
)

// run sends the entry until its fate is known.
func (a *appending) run(ctx context.Context) (metadata.AppendResult, error) {
	at := &attempts{l: a.l, name: a.name}
	for {
		res, v, err := a.attempt(ctx, at)
		switch {
		case v == final:
			if err == nil {
				a.l.countAppend(res, at.n, a.late)
			}
			return res, err
		case v == moved:
			continue
		case errors.Is(err, metadata.ErrOlderLog) || errors.Is(err, metadata.ErrNewerIncarnation):
			return res, err
		}
		if err := at.next(ctx, err); err != nil {
			return res, err
		}
	}
}

// attempt sends the entry once and finds out what became of it. Why its
// comparisons failed is asked in a second request: what a transaction would read
// is carried into the raft log of every member by every commit, and hardly one
// fails.
func (a *appending) attempt(ctx context.Context, at *attempts) (res metadata.AppendResult, v verdict, err error) {
	t, err := a.txn(ctx)
	if err != nil {
		return res, again, err
	}
	before := a.l.seen.get()
	resp, err := at.txn(ctx, t)
	switch {
	case err != nil && refused(err) && !a.p.maybe:
		return res, final, err
	case err != nil:
		a.p.maybe = true // also where it says "no space": etcd executes the write that passes its quota, and then says so
		return res, again, err
	}
	if res, put, err := a.put(before, resp); put || err != nil {
		return res, final, err
	}
	return a.judge(ctx, at)
}

// txn is the request of one attempt (design, section 3, "Append").
func (a *appending) txn(ctx context.Context) (*txnReq, error) {
	l, key := a.l, a.l.k.entry(a.p.extent, a.r.Key)
	own := []*compare{
		created(a.s.key, a.s.created),
		valueIs(l.k.extent(), hex64(uint64(a.p.extent))),
		created(l.k.incarnation(l.format.Incarnation), l.incCreated),
		absent(key),
	}
	write := func(value []byte) []*op {
		return []*op{put(key, value), put(l.k.head(), []byte(key[len(l.k.log()):]))}
	}
	a.empty = false
	if a.r.Guard == nil {
		return &txnReq{Compare: own, Success: write(a.r.Bytes)}, nil
	}
	further, holds, err := l.guard(ctx, a.r.Guard)
	if err != nil {
		return nil, fmt.Errorf("read guard: %w", err)
	}
	empty := &txnReq{Compare: own, Success: write(nil)}
	if a.empty = !holds; a.empty {
		return empty, nil
	}
	return &txnReq{
		Compare: append(append([]*compare(nil), own...), further...),
		Success: write(a.r.Bytes),
		Failure: []*op{nested(empty)},
	}, nil
}

// put tells whether an attempt put the entry, or the empty one, in place. Where
// it did neither its comparisons failed, and it will not land later.
func (a *appending) put(before marks, resp *txnResp) (res metadata.AppendResult, ok bool, err error) {
	rev, empty := resp.Header.GetRevision(), a.empty
	if !resp.Succeeded {
		if len(resp.Responses) == 0 || !resp.Responses[0].GetResponseTxn().GetSucceeded() {
			a.l.seen.learn(marks{rev: rev}) // the read that follows may not be older
			return res, false, nil
		}
		empty = true
	}
	now := marks{rev: rev, head: rev, extent: a.p.extent}
	if err := now.check(marks{rev: before.rev, head: before.head}); err != nil {
		return res, false, err
	}
	a.l.seen.learn(now)
	return metadata.AppendResult{Revision: a.l.out(rev), Extent: a.p.extent, GuardFailed: empty}, true, nil
}

// judge reads why an attempt's comparisons failed, and tells what became of the
// entry.
//
// The read comes after the attempt, and the log goes on between the two. What
// failed at the attempt still fails at the read (a session and an incarnation do
// not come back, a generation does not open again), but the entry's key may
// have been archived and deleted meanwhile: only truncated, as it stands in the
// very read that does not find the key, tells whether that absence means that
// nothing landed.
func (a *appending) judge(ctx context.Context, at *attempts) (res metadata.AppendResult, v verdict, err error) {
	l, key := a.l, a.l.k.entry(a.p.extent, a.r.Key)
	before := l.seen.get()
	resp, err := at.txn(ctx, &txnReq{Success: append([]*op{get(key), get(a.s.key)}, l.standingOps()...)})
	switch {
	case err != nil && refused(err) && !a.p.maybe:
		return res, final, err
	case err != nil: // it is known of this attempt that it failed: maybe stays as it was
		return res, again, err
	}
	st, err := l.standingOf(before, resp)
	if kv := st.got[key]; kv != nil && !errors.Is(err, metadata.ErrOlderLog) {
		return a.found(kv)
	}
	alive := a.s.is(st.got[a.s.key])
	switch {
	case err != nil && !errors.Is(err, metadata.ErrNewerIncarnation):
		return res, final, err
	case err == nil && alive && st.extent == a.p.extent:
		return res, final, fmt.Errorf("BUG: etcd refused %s though every guard holds", a.name)
	case st.extent < a.p.extent:
		return res, final, fmt.Errorf("etcd's generation is %d after it was %d: %w", st.extent, a.p.extent, metadata.ErrOlderLog)
	}
	// A guard failed and the key is absent. Nothing that names this generation
	// can land any more; whether something did depends on whether keys of it
	// have been deleted.
	if a.p.maybe && st.truncated >= a.p.extent {
		if res, landed, err := a.ask(ctx, st); landed || err != nil {
			a.late = landed
			return res, final, err
		}
	}
	if !alive || err != nil {
		a.s.lost()
		return res, final, errors.Join(fmt.Errorf("its session's key was gone at revision %d: %w", l.out(st.rev), metadata.ErrSessionLost), err)
	}
	a.p.extent, a.p.maybe = st.extent, false
	return res, moved, nil
}

// found is the fate of an entry whose key is there.
func (a *appending) found(kv *keyValue) (metadata.AppendResult, verdict, error) {
	a.late = true
	res := metadata.AppendResult{Revision: a.l.out(kv.CreateRevision), Extent: a.p.extent}
	a.l.seen.learn(marks{rev: kv.CreateRevision, head: kv.CreateRevision})
	switch {
	case len(kv.Value) == 0 && a.r.Guard != nil:
		res.GuardFailed = true
	case !bytes.Equal(kv.Value, a.r.Bytes):
		return metadata.AppendResult{}, final, fmt.Errorf("BUG: another entry of %d bytes stands at %s", len(kv.Value), kv.Key)
	}
	return res, final, nil
}

// ask lets the replica tell whether an attempt landed in a generation whose
// keys are being deleted: it waits until everything that was in the log at the
// read is applied.
func (a *appending) ask(ctx context.Context, st standing) (res metadata.AppendResult, landed bool, err error) {
	l, none := a.l, metadata.AppendResult{}
	applied := l.applied.Load()
	if applied == nil {
		return none, false, fmt.Errorf("generation %d is deleted and no replica was given: %w", a.p.extent, metadata.ErrNotKnown)
	}
	rev, err := (*applied).WaitEntry(ctx, l.out(st.head), a.r.Key)
	if err != nil || rev == 0 {
		return none, false, err
	}
	res = metadata.AppendResult{Revision: rev, Extent: a.p.extent}
	if a.r.Guard == nil {
		return res, true, nil
	}
	// Whether the entry or the empty one took the place, only its value tells.
	resp, err := l.c.Range(ctx, &rangeReq{Key: []byte(l.k.entry(a.p.extent, a.r.Key)), Revision: l.in(int64(rev))})
	switch {
	case errors.Is(err, rpctypes.ErrCompacted), err == nil && len(resp.Kvs) == 0:
		return none, false, fmt.Errorf("the entry at revision %d is compacted, its guard's outcome with it: %w", rev, metadata.ErrNotKnown)
	case err != nil:
		return none, false, err
	}
	res, _, err = a.found(resp.Kvs[0])
	return res, err == nil, err
}
