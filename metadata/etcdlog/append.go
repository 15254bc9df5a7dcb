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
	if p.generation == 0 {
		if p.generation = l.seen.get().generation; p.generation == 0 {
			p.generation = 1
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
}

// run sends the entry until its fate is known.
func (a *appending) run(ctx context.Context) (metadata.AppendResult, error) {
	at := &attempts{l: a.l, name: a.name}
	for {
		t, err := a.txn(ctx)
		if err == nil {
			before := a.l.seen.get()
			var resp *txnResp
			if resp, err = at.txn(ctx, t); err == nil {
				res, known, jerr := a.judge(ctx, before, resp)
				if known && jerr == nil {
					a.l.countAppend(res, at.n, !resp.Succeeded)
				}
				if known || jerr != nil {
					return res, jerr
				}
				continue // the generation moved: at once
			}
			if refused(err) && !a.p.maybe {
				return metadata.AppendResult{}, err
			}
			a.p.maybe = true // also where it says "no space": etcd executes the write that passes its quota, and then says so
		}
		if errors.Is(err, metadata.ErrOlderLog) || errors.Is(err, metadata.ErrNewerIncarnation) {
			return metadata.AppendResult{}, err
		}
		if err := at.next(ctx, err); err != nil {
			return metadata.AppendResult{}, err
		}
	}
}

// txn is the request of one attempt (design, section 3, "Append").
func (a *appending) txn(ctx context.Context) (*txnReq, error) {
	l, key := a.l, a.l.k.entry(a.p.generation, a.r.Key)
	own := []*compare{
		created(a.s.key, a.s.created),
		valueIs(l.k.generation(), hex64(uint64(a.p.generation))),
		created(l.k.incarnation(l.format.Incarnation), l.incCreated),
		absent(key),
	}
	write := func(value []byte) []*op {
		return []*op{put(key, value), put(l.k.head(), []byte(key[len(l.k.log()):]))}
	}
	reads := append(l.standingOps(), get(key), get(a.s.key))
	if a.r.Guard == nil {
		return &txnReq{Compare: own, Success: write(a.r.Bytes), Failure: reads}, nil
	}
	further, holds, err := l.guard(ctx, a.r.Guard)
	if err != nil {
		return nil, fmt.Errorf("read guard: %w", err)
	}
	empty := &txnReq{Compare: own, Success: write(nil)}
	if a.empty = !holds; a.empty {
		empty.Failure = reads
		return empty, nil
	}
	return &txnReq{
		Compare: append(append([]*compare(nil), own...), further...),
		Success: write(a.r.Bytes),
		// The empty entry first: the reads after it see what it did.
		Failure: append([]*op{nested(empty)}, reads...),
	}, nil
}

// judge tells from an answer what became of the entry. known is false where
// it has to be sent again.
func (a *appending) judge(ctx context.Context, before marks, resp *txnResp) (res metadata.AppendResult, known bool, err error) {
	l, rev := a.l, resp.Header.GetRevision()
	if resp.Succeeded {
		now := marks{rev: rev, head: rev, generation: a.p.generation}
		if err := now.check(marks{rev: before.rev, head: before.head}); err != nil {
			return res, false, err
		}
		l.seen.learn(now)
		return metadata.AppendResult{Revision: l.out(rev), Generation: a.p.generation, GuardFailed: a.empty}, true, nil
	}
	st, err := l.standingOf(before, resp)
	if kv := st.got[l.k.entry(a.p.generation, a.r.Key)]; kv != nil && !errors.Is(err, metadata.ErrOlderLog) {
		return a.found(kv)
	}
	alive := a.s.is(st.got[a.s.key])
	switch {
	case err != nil && !errors.Is(err, metadata.ErrNewerIncarnation):
		return res, false, err
	case err == nil && alive && st.generation == a.p.generation:
		return res, false, fmt.Errorf("BUG: etcd refused %s though every guard holds", a.name)
	case st.generation < a.p.generation:
		return res, false, fmt.Errorf("etcd's generation is %d after it was %d: %w", st.generation, a.p.generation, metadata.ErrOlderLog)
	}
	// A guard failed at this revision and the key is absent. Nothing that
	// names this generation can land any more; whether something did depends
	// on whether keys of it have been deleted.
	if a.p.maybe && st.truncated >= a.p.generation {
		if res, known, err := a.ask(ctx, st); known || err != nil {
			return res, known, err
		}
	}
	if !alive || err != nil {
		a.s.lost()
		return res, false, errors.Join(fmt.Errorf("its session's key was gone at revision %d: %w", l.out(st.rev), metadata.ErrSessionLost), err)
	}
	a.p.generation, a.p.maybe = st.generation, false
	return res, false, nil
}

// found is the fate of an entry whose key is there.
func (a *appending) found(kv *keyValue) (metadata.AppendResult, bool, error) {
	res := metadata.AppendResult{Revision: a.l.out(kv.CreateRevision), Generation: a.p.generation}
	a.l.seen.learn(marks{rev: kv.CreateRevision, head: kv.CreateRevision})
	switch {
	case len(kv.Value) == 0 && a.r.Guard != nil:
		res.GuardFailed = true
	case !bytes.Equal(kv.Value, a.r.Bytes):
		return metadata.AppendResult{}, false, fmt.Errorf("BUG: another entry of %d bytes stands at %s", len(kv.Value), kv.Key)
	}
	return res, true, nil
}

// ask lets the replica tell whether an attempt landed in a generation whose
// keys are being deleted: it waits until everything that was in the log at the
// read is applied. known is false where it did not land.
func (a *appending) ask(ctx context.Context, st standing) (metadata.AppendResult, bool, error) {
	l, none := a.l, metadata.AppendResult{}
	applied := l.applied.Load()
	if applied == nil {
		return none, false, fmt.Errorf("generation %d is deleted and no replica was given: %w", a.p.generation, metadata.ErrNotKnown)
	}
	rev, err := (*applied).WaitEntry(ctx, l.out(st.head), a.r.Key)
	if err != nil || rev == 0 {
		return none, false, err
	}
	res := metadata.AppendResult{Revision: rev, Generation: a.p.generation}
	if a.r.Guard == nil {
		return res, true, nil
	}
	// Whether the entry or the empty one took the place, only its value tells.
	resp, err := l.c.Range(ctx, &rangeReq{Key: []byte(l.k.entry(a.p.generation, a.r.Key)), Revision: l.in(int64(rev))})
	switch {
	case errors.Is(err, rpctypes.ErrCompacted), err == nil && len(resp.Kvs) == 0:
		return none, false, fmt.Errorf("the entry at revision %d is compacted, its guard's outcome with it: %w", rev, metadata.ErrNotKnown)
	case err != nil:
		return none, false, err
	}
	return a.found(resp.Kvs[0])
}
