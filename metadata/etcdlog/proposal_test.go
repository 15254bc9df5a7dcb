package etcdlog_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// proposals records the txns that etcd puts into its raft log: those that may
// write, whatever the result of their comparisons.
type proposals struct {
	etcdlog.Client
	mu  sync.Mutex
	all []*etcdserverpb.TxnRequest
}

func (p *proposals) Txn(ctx context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	if mayWrite(r) {
		p.mu.Lock()
		p.all = append(p.all, r)
		p.mu.Unlock()
	}
	return p.Client.Txn(ctx, r)
}

func mayWrite(r *etcdserverpb.TxnRequest) bool {
	for _, o := range append(append([]*etcdserverpb.RequestOp(nil), r.Success...), r.Failure...) {
		if o.GetRequestRange() == nil && (o.GetRequestTxn() == nil || mayWrite(o.GetRequestTxn())) {
			return true
		}
	}
	return false
}

// take returns the sizes recorded since, in bytes, as in the raft log.
func (p *proposals) take() (sizes []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.all {
		sizes = append(sizes, proto.Size(&etcdserverpb.InternalRaftRequest{Header: &etcdserverpb.RequestHeader{ID: 1 << 62}, Txn: r}))
	}
	p.all = nil
	return sizes
}

// noted opens a broker's log whose proposals are recorded, and a session.
func noted(t *testing.T, store *etcdfake.Store) (*node, *proposals) {
	t.Helper()
	p := &proposals{Client: store.Client("p", "dev-a")}
	l, err := etcdlog.Open(t.Context(), etcdlog.Config{Cluster: "main", Client: p, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	n := &node{Log: l}
	if n.session, err = l.OpenSession(t.Context(), metadata.SessionInfo{Nonce: "0123456789abcdef", Zone: "use1-az1", Peer: "10.0.1.7:9192"}); err != nil {
		t.Fatal(err)
	}
	p.take()
	return n, p
}

// What every commit has in addition to its entry crosses zones two or three
// times.
func TestACommitsProposalCarriesLittleBesideItsEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := noted(t, cluster(t, etcdfake.Config{Seed: 1}))
		n.append(t, metadata.LaneStandard)
		plain := p.take()
		d := n.takeRoleNow(t, "archive")
		p.take()
		r := n.next(metadata.LaneControl)
		r.Guard = &metadata.Guard{Role: d.Name, RoleEpoch: d.Epoch}
		if _, err := n.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		guarded := p.take()
		if err := n.session.Publish(t.Context(), metadata.SessionStatus{Clock: 1_700_000_000_000, Applied: 1 << 30, HashRevision: 1 << 30}); err != nil {
			t.Fatal(err)
		}
		published := p.take()
		if len(plain) != 1 || len(guarded) != 1 || len(published) != 1 {
			t.Fatalf("proposals of %v, %v and %v bytes, want one each", plain, guarded, published)
		}
		extra, extraGuarded := plain[0]-len("entry 0000000000000000/standard/1"), guarded[0]-len(r.Bytes)
		t.Logf("an entry and %d bytes; with a guard and %d; a publish is %d", extra, extraGuarded, published[0])
		if extra > 420 || extraGuarded > 850 || published[0] > 420 {
			t.Errorf("in addition to an entry %d bytes, with a guard %d, a publish %d: want at most 420, 850, 420", extra, extraGuarded, published[0])
		}
	})
}

// The holder of a role, and whether an extent's keys are gone, are read every few
// seconds by every broker: reads, which no member of etcd writes to its disk.
func TestWhatIsAskedAgainAndAgainIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 1})
		n, p := noted(t, store)
		other := join(t, store, "other")
		held := other.takeRoleNow(t, "tick")
		d := n.takeRoleNow(t, "archive")
		if _, err := n.CloseExtent(t.Context(), d, 1); err != nil {
			t.Fatal(err)
		}
		if err := n.DeleteArchived(t.Context(), d, 1, "archive/1"); err != nil {
			t.Fatal(err)
		}
		p.take()
		for range 3 {
			if again := n.takeRoleNow(t, "archive"); again != d {
				t.Fatalf("%+v, then %+v", d, again)
			}
			if _, ok, err := n.TryRole(t.Context(), n.session.ID(), held.Name); ok || err != nil {
				t.Fatalf("another's role: %v, %v", ok, err)
			}
			if err := n.DeleteArchived(t.Context(), d, 1, "archive/1"); err != nil {
				t.Fatal(err)
			}
		}
		if got := p.take(); len(got) > 0 {
			t.Errorf("%d proposals of %v bytes", len(got), got)
		}
	})
}
