package etcdlog

import (
	"context"
	"fmt"
	"math"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// maxSendBytes is the largest request: an entry of 1 MiB, its keys and guards,
// with room. The server's limit (internal/etcdserver) is the same.
const maxSendBytes = 4 << 20

// statusTimeout is how long one member may take to say how it is; one that is
// gone is silent, and the others know the same leader.
const statusTimeout = 2 * time.Second

// FromEtcd makes a Client of an etcd client. The caller closes c after the Log.
func FromEtcd(c *clientv3.Client) Client {
	return &etcdClient{c: c, kv: clientv3.RetryKVClient(c), opts: []grpc.CallOption{
		grpc.WaitForReady(false),
		grpc.MaxCallSendMsgSize(maxSendBytes),
		grpc.MaxCallRecvMsgSize(math.MaxInt32),
	}}
}

type etcdClient struct {
	c    *clientv3.Client
	kv   etcdserverpb.KVClient // sends a write again only where it never left
	opts []grpc.CallOption
}

func (e *etcdClient) Range(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	resp, err := e.kv.Range(ctx, r, e.opts...)
	return resp, rpctypes.Error(err)
}

func (e *etcdClient) Txn(ctx context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	resp, err := e.kv.Txn(ctx, r, e.opts...)
	return resp, rpctypes.Error(err)
}

func (e *etcdClient) Compact(ctx context.Context, rev int64) error {
	_, err := e.kv.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: rev}, e.opts...)
	return rpctypes.Error(err)
}

func (e *etcdClient) Grant(ctx context.Context, ttlSeconds int64) (int64, error) {
	resp, err := e.c.Grant(ctx, ttlSeconds)
	if err != nil {
		return 0, err
	}
	return int64(resp.ID), nil
}

func (e *etcdClient) KeepAlive(ctx context.Context, lease int64) error {
	_, err := e.c.KeepAliveOnce(ctx, clientv3.LeaseID(lease))
	return err
}

func (e *etcdClient) Revoke(ctx context.Context, lease int64) error {
	_, err := e.c.Revoke(ctx, clientv3.LeaseID(lease))
	return err
}

func (e *etcdClient) Watch(ctx context.Context, prefix string, from int64) <-chan WatchResponse {
	out := make(chan WatchResponse)
	in := e.c.Watch(clientv3.WithRequireLeader(ctx), prefix, clientv3.WithPrefix(), clientv3.WithRev(from),
		clientv3.WithFragment(), clientv3.WithFilterDelete(), clientv3.WithProgressNotify())
	go func() { // ends with in, which ends with ctx or by itself
		defer close(out)
		for r := range in {
			w := WatchResponse{Revision: r.Header.GetRevision(), Events: r.Events, Err: r.Err()}
			if w.Err == nil && len(w.Events) == 0 && !r.IsProgressNotify() {
				continue
			}
			select {
			case out <- w:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (e *etcdClient) Status(ctx context.Context) (Status, error) {
	var s Status
	var leader uint64
	var last error
	for _, ep := range e.c.Endpoints() {
		sctx, cancel := context.WithTimeout(ctx, statusTimeout)
		r, err := e.c.Status(sctx, ep)
		cancel()
		if err != nil {
			last = fmt.Errorf("status of etcd member at %s: %w", ep, err)
			continue
		}
		leader = r.Leader
		s.SizeBytes = max(s.SizeBytes, r.DbSize)
		s.InUseBytes = max(s.InUseBytes, r.DbSizeInUse)
		s.QuotaBytes = max(s.QuotaBytes, r.DbSizeQuota)
	}
	if leader == 0 && last != nil {
		return Status{}, last
	}
	m, err := e.c.MemberList(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("list etcd members: %w", err)
	}
	for _, m := range m.Members {
		s.Members = append(s.Members, Member{Name: m.Name, Leader: m.ID == leader})
	}
	return s, nil
}
