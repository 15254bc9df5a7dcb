package etcdlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
)

// shut takes an error on its way out. Where it says that etcd went back in
// time, the incarnation's key is deleted, by whose create revision every write
// is guarded: a broker that was cut from etcd between the backup and its
// restore saw nothing that is missing now, would go on, and would hand out
// again what the others have handed out.
//
// The deletion is tried a few times and no more: whoever sees the same does the
// same, and every broker that starts looks into the bucket, too.
func (l *Log) shut(ctx context.Context, err error) error {
	if !errors.Is(err, metadata.ErrOlderLog) {
		return l.advise(ctx, err)
	}
	ctx = context.WithoutCancel(ctx)
	key := l.k.incarnation(l.format.Incarnation)
	at := &attempts{l: l, name: "shut"}
	for at.n < shutTries {
		_, ferr := at.txn(ctx, &txnReq{Compare: []*compare{created(key, l.incCreated)}, Success: []*op{deleteRange([]byte(key), []byte(key))}})
		if ferr == nil {
			break
		}
		_ = at.next(ctx, ferr) // ctx does not end
	}
	return l.advise(ctx, err)
}

// shutTries bounds how long a broker that is to stop goes on for the others.
const shutTries = 3

// What an operator does about an etcd that is not the one that this broker knew.
const (
	adviceRestored = "etcd was restored from a backup, or a broker found that it was and shut it: stop every broker and run `zonewise recover` into an empty etcd"
	adviceWiped    = "etcd holds nothing of the cluster: its data was deleted, or this is another etcd: give this broker the right one, or stop every broker and run `zonewise recover`"
	adviceUnknown  = "if the cluster was recovered meanwhile start this broker again; if not, etcd was restored from a backup: stop every broker and run `zonewise recover` into an empty etcd"
)

// advised is an error with what to do about it.
type advised struct {
	what string
	err  error
}

func (a *advised) Error() string { return a.what + " (" + a.err.Error() + ")" }
func (a *advised) Unwrap() error { return a.err }

// advise adds to an error that says that etcd is not the one that this broker
// knew what that means: the cluster's format tells whether it was recovered while
// this broker was away, when to start it again is all there is to do.
func (l *Log) advise(ctx context.Context, err error) error {
	var done *advised
	if !errors.Is(err, metadata.ErrOlderLog) && !errors.Is(err, metadata.ErrNewerIncarnation) || errors.As(err, &done) {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	at := &attempts{l: l, name: "advise"}
	for at.n < shutTries {
		actx, cancel := context.WithTimeout(ctx, at.timeout())
		f, ok, ferr := ReadFormat(actx, l.c, l.cfg.Cluster)
		cancel()
		switch {
		case ferr == nil && !ok:
			return &advised{adviceWiped, err}
		case ferr == nil && f.Incarnation > l.format.Incarnation:
			return &advised{fmt.Sprintf("the cluster was recovered, as incarnation %d, while this broker of incarnation %d was away: start this broker again", f.Incarnation, l.format.Incarnation), err}
		case ferr == nil:
			return &advised{adviceRestored, err}
		}
		_ = at.next(ctx, ferr) // ctx does not end
	}
	return &advised{adviceUnknown, err}
}
