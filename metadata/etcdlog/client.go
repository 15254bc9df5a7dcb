package etcdlog

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Client is what this package needs of etcd. Requests are etcd's own messages, so
// that a fake sees every field. One call is executed at most once by the server;
// after an error it may or may not have been, unless the error is one of
// rpctypes' refusals. FromEtcd adapts a clientv3.Client.
type Client interface {
	KV
	Leases
	// Watch delivers the puts below prefix from revision from on, in order.
	// The channel is closed after a response with Err, or when ctx ends.
	Watch(ctx context.Context, prefix string, from int64) <-chan WatchResponse
	// Status reports the store's size and members.
	Status(ctx context.Context) (Status, error)
}

// KV is etcd's store.
type KV interface {
	Range(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error)
	Txn(ctx context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error)
	// Compact drops history before rev.
	Compact(ctx context.Context, rev int64) error
}

// Leases is etcd's lessor. Lifetimes are whole seconds, as in etcd.
type Leases interface {
	Grant(ctx context.Context, ttlSeconds int64) (lease int64, err error)
	// KeepAlive renews once; rpctypes.ErrLeaseNotFound where the lease is gone.
	KeepAlive(ctx context.Context, lease int64) error
	Revoke(ctx context.Context, lease int64) error
}

// WatchResponse has some events of one watch, or its progress (no events), or its
// end (Err).
type WatchResponse struct {
	// Revision: without events, everything up to it was delivered. With events it
	// is only the server's revision.
	Revision int64
	Events   []*mvccpb.Event
	Err      error
}

// Status is the state of the store.
type Status struct {
	SizeBytes, InUseBytes, QuotaBytes int64 // of the member that was queried, or of the largest that answered
	Members                           []Member
}

// Member is one etcd server.
type Member struct {
	Name   string
	Leader bool
}
