package etcdlog

import (
	"context"
	"errors"

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
		return err
	}
	ctx = context.WithoutCancel(ctx)
	key := l.k.incarnation(l.format.Incarnation)
	at := &attempts{l: l, name: "shut"}
	for at.n < shutTries {
		_, ferr := at.txn(ctx, &txnReq{Compare: []*compare{created(key, l.incCreated)}, Success: []*op{deleteRange([]byte(key), []byte(key))}})
		if ferr == nil {
			return err
		}
		_ = at.next(ctx, ferr) // ctx does not end
	}
	return err
}

// shutTries bounds how long a broker that is to stop goes on for the others.
const shutTries = 3
