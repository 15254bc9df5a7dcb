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
	res, err := l.appendEntry(ctx, r)
	if err != nil {
		err = l.fenceIfOlder(ctx, err)
		return res, fmt.Errorf("append %v/%v/%d: %w", r.Key.Session, r.Key.Lane, r.Key.Seq, err)
	}
	return res, nil
}

func (l *Log) appendEntry(ctx context.Context, r metadata.AppendRequest) (metadata.AppendResult, error) {
	switch {
	case r.Key.Lane >= metadata.LaneCount || r.Key.Seq == 0:
		return metadata.AppendResult{}, errors.New("BUG: no such lane, or sequence 0")
	case len(r.Bytes) == 0 || len(r.Bytes) > metadata.MaxEntryBytes:
		return metadata.AppendResult{}, fmt.Errorf("BUG: entry of %d bytes; want 1 to %d", len(r.Bytes), metadata.MaxEntryBytes)
	}
	s, err := l.findSession(r.Key.Session)
	if err != nil {
		return metadata.AppendResult{}, err
	}
	p, err := s.beginAppend(r.Key)
	if err != nil || p.done {
		return p.res, errors.Join(err, p.err)
	}
	if p.extent == 0 {
		if p.extent = l.seen.get().extent; p.extent == 0 {
			p.extent = 1
		}
	}
	a := &appendCall{l: l, s: s, r: r, p: p, name: l.k.entryKey(0, r.Key)}
	res, err := a.runAttempts(ctx)
	a.p.res, a.p.err = res, err
	a.p.done = err == nil || errors.Is(err, metadata.ErrSessionLost) || errors.Is(err, metadata.ErrOutcomeUnknown)
	s.endAppend(r.Key.Lane, a.p)
	return res, err
}

// appendCall is one call of Append.
type appendCall struct {
	l    *Log
	s    *session
	r    metadata.AppendRequest
	p    pendingAppend
	name string // of the entry without its extent, for jitter
	// putsEmpty: the attempt puts an empty entry, because the guard does not
	// hold.
	putsEmpty bool
	// foundLanded: an attempt of unknown outcome had put the entry.
	foundLanded bool
}

// attemptResult is the result of one attempt.
type attemptResult uint8

const (
	attemptResolved     attemptResult = iota // result and error are final
	attemptExtentClosed                      // its extent was closed: send it again at once
	attemptUnknown                           // the outcome is unknown, and error says why: try again after a pause
)

// runAttempts sends the entry until its outcome is known.
func (a *appendCall) runAttempts(ctx context.Context) (metadata.AppendResult, error) {
	at := &retrier{l: a.l, name: a.name}
	for {
		res, v, err := a.sendAttempt(ctx, at)
		switch {
		case v == attemptResolved:
			if err == nil {
				a.l.countAppend(res, at.n, a.foundLanded)
			}
			return res, err
		case v == attemptExtentClosed:
			continue
		case errors.Is(err, metadata.ErrOlderLog) || errors.Is(err, metadata.ErrNewerIncarnation):
			return res, err
		}
		if err := at.waitForRetry(ctx, err); err != nil {
			return res, err
		}
	}
}

// sendAttempt sends the entry once and finds out the outcome. A second request
// reads why comparisons failed: the reads of a transaction would be in the raft
// log of every member with every commit, and failures are rare.
func (a *appendCall) sendAttempt(ctx context.Context, at *retrier) (res metadata.AppendResult, v attemptResult, err error) {
	t, err := a.buildTxn(ctx)
	if err != nil {
		return res, attemptUnknown, err
	}
	before := a.l.seen.get()
	resp, err := at.sendTxn(ctx, t)
	switch {
	case err != nil && isRefused(err) && !a.p.maybeLanded:
		return res, attemptResolved, err
	case err != nil:
		a.p.maybeLanded = true // also after "no space": etcd executes the write that exceeds its quota, and returns that error
		return res, attemptUnknown, err
	}
	if res, put, err := a.checkPut(before, resp); put || err != nil {
		return res, attemptResolved, err
	}
	return a.resolveFailure(ctx, at)
}

// buildTxn is the request of one attempt (docs/design.md, section 4).
func (a *appendCall) buildTxn(ctx context.Context) (*txnReq, error) {
	l, key := a.l, a.l.k.entryKey(a.p.extent, a.r.Key)
	own := []*compare{
		compareCreated(a.s.key, a.s.created),
		compareValueEqual(l.k.extentKey(), formatHex64(uint64(a.p.extent))),
		compareCreated(l.k.incarnationKey(l.format.Incarnation), l.incarnationCreated),
		compareAbsent(key),
	}
	write := func(value []byte) []*op {
		return []*op{putOp(key, value), putOp(l.k.headKey(), []byte(key[len(l.k.logPrefix()):]))}
	}
	a.putsEmpty = false
	if a.r.Guard == nil {
		return &txnReq{Compare: own, Success: write(a.r.Bytes)}, nil
	}
	further, holds, err := l.guardCompares(ctx, a.r.Guard)
	if err != nil {
		return nil, fmt.Errorf("read guard: %w", err)
	}
	empty := &txnReq{Compare: own, Success: write(nil)}
	if a.putsEmpty = !holds; a.putsEmpty {
		return empty, nil
	}
	return &txnReq{
		Compare: append(append([]*compare(nil), own...), further...),
		Success: write(a.r.Bytes),
		Failure: []*op{nestedTxnOp(empty)},
	}, nil
}

// checkPut reports whether an attempt put the entry, or the empty one. If it did
// not, its comparisons failed, and it will not be executed later.
func (a *appendCall) checkPut(before progress, resp *txnResp) (res metadata.AppendResult, ok bool, err error) {
	rev, empty := resp.Header.GetRevision(), a.putsEmpty
	if !resp.Succeeded {
		if len(resp.Responses) == 0 || !resp.Responses[0].GetResponseTxn().GetSucceeded() {
			a.l.seen.advance(progress{rev: rev}) // the next read must not be older
			return res, false, nil
		}
		empty = true
	}
	now := progress{rev: rev, head: rev, extent: a.p.extent}
	if err := now.checkNotBehind(progress{rev: before.rev, head: before.head}); err != nil {
		return res, false, err
	}
	a.l.seen.advance(now)
	return metadata.AppendResult{Revision: a.l.toLogRevision(rev), Extent: a.p.extent, GuardFailed: empty}, true, nil
}

// resolveFailure reads why an attempt's comparisons failed, and returns the
// entry's outcome.
//
// The read comes after the attempt, and the log goes on between the two. What
// failed at the attempt still fails at the read (a lost session or incarnation
// does not return, a closed extent does not open again). But the entry's key may
// have been archived and deleted meanwhile. If the key is absent, only the value
// of truncated in the same read shows whether nothing was committed.
func (a *appendCall) resolveFailure(ctx context.Context, at *retrier) (res metadata.AppendResult, v attemptResult, err error) {
	l, key := a.l, a.l.k.entryKey(a.p.extent, a.r.Key)
	before := l.seen.get()
	resp, err := at.sendTxn(ctx, &txnReq{Success: append([]*op{getOp(key), getOp(a.s.key)}, l.stateOps()...)})
	switch {
	case err != nil && isRefused(err) && !a.p.maybeLanded:
		return res, attemptResolved, err
	case err != nil: // this attempt is known to have failed: maybeLanded stays as it was
		return res, attemptUnknown, err
	}
	st, err := l.decodeState(before, resp)
	if kv := st.values[key]; kv != nil && !errors.Is(err, metadata.ErrOlderLog) {
		return a.resolveFound(kv)
	}
	alive := a.s.isKey(st.values[a.s.key])
	switch {
	case err != nil && !errors.Is(err, metadata.ErrNewerIncarnation):
		return res, attemptResolved, err
	case err == nil && alive && st.extent == a.p.extent:
		return res, attemptResolved, fmt.Errorf("BUG: etcd refused %s though every guard holds", a.name)
	case st.extent < a.p.extent:
		return res, attemptResolved, fmt.Errorf("etcd's extent is %d after it was %d: %w", st.extent, a.p.extent, metadata.ErrOlderLog)
	}
	// A guard failed and the key is absent. No attempt that names this extent can
	// be committed any more. Whether an earlier one was depends on whether keys
	// of the extent have been deleted.
	if a.p.maybeLanded && st.truncated >= a.p.extent {
		if res, landed, err := a.resolveByReplica(ctx, st); landed || err != nil {
			a.foundLanded = landed
			return res, attemptResolved, err
		}
	}
	if !alive || err != nil {
		a.s.markLost()
		return res, attemptResolved, errors.Join(fmt.Errorf("its session's key was missing at revision %d: %w", l.toLogRevision(st.rev), metadata.ErrSessionLost), err)
	}
	a.p.extent, a.p.maybeLanded = st.extent, false
	return res, attemptExtentClosed, nil
}

// resolveFound returns the outcome of an entry whose key exists.
func (a *appendCall) resolveFound(kv *keyValue) (metadata.AppendResult, attemptResult, error) {
	a.foundLanded = true
	res := metadata.AppendResult{Revision: a.l.toLogRevision(kv.CreateRevision), Extent: a.p.extent}
	a.l.seen.advance(progress{rev: kv.CreateRevision, head: kv.CreateRevision})
	switch {
	case len(kv.Value) == 0 && a.r.Guard != nil:
		res.GuardFailed = true
	case !bytes.Equal(kv.Value, a.r.Bytes):
		return metadata.AppendResult{}, attemptResolved, fmt.Errorf("BUG: a different entry of %d bytes exists at %s", len(kv.Value), kv.Key)
	}
	return res, attemptResolved, nil
}

// resolveByReplica finds out from the replica whether an attempt was committed in
// an extent whose keys are being deleted: it waits until everything that was in
// the log at the read is applied.
func (a *appendCall) resolveByReplica(ctx context.Context, st logState) (res metadata.AppendResult, landed bool, err error) {
	l, none := a.l, metadata.AppendResult{}
	applied := l.applied.Load()
	if applied == nil {
		return none, false, fmt.Errorf("extent %d is deleted and no replica is configured: %w", a.p.extent, metadata.ErrOutcomeUnknown)
	}
	rev, err := (*applied).WaitEntry(ctx, l.toLogRevision(st.head), a.r.Key)
	if err != nil || rev == 0 {
		return none, false, err
	}
	res = metadata.AppendResult{Revision: rev, Extent: a.p.extent}
	if a.r.Guard == nil {
		return res, true, nil
	}
	// Only the value shows whether the entry or the empty one was put.
	resp, err := l.c.Range(ctx, &rangeReq{Key: []byte(l.k.entryKey(a.p.extent, a.r.Key)), Revision: l.toEtcdRevision(int64(rev))})
	switch {
	case errors.Is(err, rpctypes.ErrCompacted), err == nil && len(resp.Kvs) == 0:
		return none, false, fmt.Errorf("the entry at revision %d is compacted, its guard's outcome is lost: %w", rev, metadata.ErrOutcomeUnknown)
	case err != nil:
		return none, false, err
	}
	res, _, err = a.resolveFound(resp.Kvs[0])
	return res, err == nil, err
}
