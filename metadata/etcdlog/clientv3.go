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
// and room for more. The server's limit (internal/etcdserver) is the same.
const maxSendBytes = 4 << 20

// statusTimeout is how long one member may take for its status; one that is down
// does not answer, and the others have the same leader.
const statusTimeout = 2 * time.Second

// FromEtcd returns a Client over an etcd client. The caller closes c after the
// Log.
func FromEtcd(c *clientv3.Client) Client { return newEtcdClient(c, clientv3.RetryKVClient(c)) }

// FromMember returns a MemberClient over an etcd client with a single endpoint.
// It returns an error at once for a read that could not be served, where FromEtcd
// sends it again.
func FromMember(c *clientv3.Client) MemberClient {
	return &memberClient{newEtcdClient(c, etcdserverpb.NewKVClient(c.ActiveConnection())), etcdserverpb.NewMaintenanceClient(c.ActiveConnection())}
}

func newEtcdClient(c *clientv3.Client, kv etcdserverpb.KVClient) *etcdClient {
	return &etcdClient{c: c, kv: kv, lease: etcdserverpb.NewLeaseClient(c.ActiveConnection()), opts: []grpc.CallOption{
		grpc.WaitForReady(false),
		grpc.MaxCallSendMsgSize(maxSendBytes),
		grpc.MaxCallRecvMsgSize(math.MaxInt32),
	}}
}

type etcdClient struct {
	c     *clientv3.Client
	kv    etcdserverpb.KVClient // sends a write again only if it was never sent
	lease etcdserverpb.LeaseClient
	opts  []grpc.CallOption
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

// KeepAlive renews once. clientv3's KeepAliveOnce retries without a pause until
// ctx ends if the server cannot be reached.
func (e *etcdClient) KeepAlive(ctx context.Context, lease int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // and the stream ends
	stream, err := e.lease.LeaseKeepAlive(ctx, e.opts...)
	if err != nil {
		return rpctypes.Error(err)
	}
	if err := stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: lease}); err != nil {
		if _, rerr := stream.Recv(); rerr != nil { // Send returns only that the stream has ended
			err = rerr
		}
		return rpctypes.Error(err)
	}
	resp, err := stream.Recv()
	if err != nil {
		return rpctypes.Error(err)
	}
	if resp.TTL <= 0 {
		return rpctypes.ErrLeaseNotFound
	}
	return nil
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

// memberClient is an etcdClient with a single endpoint.
type memberClient struct {
	*etcdClient
	maintenance etcdserverpb.MaintenanceClient
}

// Alive implements MemberClient.
func (m *memberClient) Alive(ctx context.Context) error {
	_, err := m.maintenance.Status(ctx, &etcdserverpb.StatusRequest{}, m.opts...)
	return rpctypes.Error(err)
}

// Status implements Client, over the existing connection.
func (m *memberClient) Status(ctx context.Context) (Status, error) {
	r, err := m.maintenance.Status(ctx, &etcdserverpb.StatusRequest{}, m.opts...)
	if err != nil {
		return Status{}, fmt.Errorf("status of etcd member: %w", rpctypes.Error(err))
	}
	list, err := m.c.MemberList(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("list etcd members: %w", err)
	}
	s := Status{SizeBytes: r.DbSize, InUseBytes: r.DbSizeInUse, QuotaBytes: r.DbSizeQuota}
	for _, one := range list.Members {
		s.Members = append(s.Members, Member{Name: one.Name, Leader: one.ID == r.Leader})
	}
	return s, nil
}
