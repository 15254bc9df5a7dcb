package etcdlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
)

// fenceIfOlder handles an error before it is returned. If it means that etcd
// went back in time, the incarnation's key is deleted, whose create revision
// guards every write. Otherwise a broker that was cut off from etcd between the
// backup and its restore, and saw nothing that is missing now, would go on and
// assign again what others have assigned.
//
// The deletion is tried only a few times: every broker that sees the same does
// it, and every broker that starts checks the bucket, too.
func (l *Log) fenceIfOlder(ctx context.Context, err error) error {
	if !errors.Is(err, metadata.ErrOlderLog) {
		return l.addAdvice(ctx, err)
	}
	ctx = context.WithoutCancel(ctx)
	key := l.k.incarnationKey(l.format.Incarnation)
	at := &retrier{l: l, name: "shut"}
	for at.n < blockTries {
		_, ferr := at.sendTxn(ctx, &txnReq{Compare: []*compare{compareCreated(key, l.incarnationCreated)}, Success: []*op{deleteRangeOp([]byte(key), []byte(key))}})
		if ferr == nil {
			break
		}
		_ = at.waitForRetry(ctx, ferr) // ctx does not end
	}
	return l.addAdvice(ctx, err)
}

// blockTries bounds how long a broker that must stop tries it for the others.
const blockTries = 3

// What an operator does about an etcd that is not the one this broker used
// before.
const (
	adviceRestored = "etcd was restored from a backup, or a broker found that it was and shut it: stop every broker and run `zonewise recover` into an empty etcd"
	adviceWiped    = "etcd holds nothing of the cluster: its data was deleted, or this is another etcd: give this broker the right one, or stop every broker and run `zonewise recover`"
	adviceUnknown  = "if the cluster was recovered meanwhile start this broker again; if not, etcd was restored from a backup: stop every broker and run `zonewise recover` into an empty etcd"
)

// advisedError is an error with what to do about it.
type advisedError struct {
	advice string
	err    error
}

func (a *advisedError) Error() string { return a.advice + " (" + a.err.Error() + ")" }
func (a *advisedError) Unwrap() error { return a.err }

// addAdvice adds the remedy to an error that means that etcd is not the one this
// broker used before. The cluster's format shows whether it was recovered
// meanwhile; then the remedy is to start the broker again.
func (l *Log) addAdvice(ctx context.Context, err error) error {
	var done *advisedError
	if !errors.Is(err, metadata.ErrOlderLog) && !errors.Is(err, metadata.ErrNewerIncarnation) || errors.As(err, &done) {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	at := &retrier{l: l, name: "advise"}
	for at.n < blockTries {
		actx, cancel := context.WithTimeout(ctx, at.attemptTimeout())
		f, ok, ferr := ReadFormat(actx, l.c, l.cfg.Cluster)
		cancel()
		switch {
		case ferr == nil && !ok:
			return &advisedError{adviceWiped, err}
		case ferr == nil && f.Incarnation > l.format.Incarnation:
			return &advisedError{fmt.Sprintf("the cluster was recovered, as incarnation %d, while this broker of incarnation %d was cut off: start this broker again", f.Incarnation, l.format.Incarnation), err}
		case ferr == nil:
			return &advisedError{adviceRestored, err}
		}
		_ = at.waitForRetry(ctx, ferr) // ctx does not end
	}
	return &advisedError{adviceUnknown, err}
}
