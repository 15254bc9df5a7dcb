package etcdlog_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// cluster creates the cluster "main" in a fake etcd. Call it in a bubble.
func cluster(t *testing.T, cfg etcdfake.Config) *etcdfake.Store {
	t.Helper()
	store := etcdfake.New(cfg)
	t.Cleanup(store.Close)
	for { // responses may be lost
		_, _, err := etcdlog.Create(t.Context(), store.Client("creator", "dev-a"), "main", "secret")
		if err == nil {
			return store
		}
		time.Sleep(time.Millisecond)
	}
}

// node is one broker's log with a session.
type node struct {
	*etcdlog.Log
	client  *etcdfake.Client
	session metadata.Session
	seq     [metadata.LaneCount]metadata.LaneSeq
}

// open opens a broker's log without a session.
func open(t *testing.T, store *etcdfake.Store, name string) *node {
	t.Helper()
	n := &node{client: store.Client(name, "dev-a")}
	for {
		l, err := etcdlog.Open(t.Context(), etcdlog.Config{
			Cluster: "main", Client: n.client, Rand: rand.New(rand.NewPCG(1, uint64(len(name)))),
			Logger: slog.New(slog.DiscardHandler),
		})
		if err == nil {
			n.Log = l
			t.Cleanup(l.Close)
			return n
		}
		time.Sleep(time.Millisecond)
	}
}

// join opens a broker's log and a session.
func join(t *testing.T, store *etcdfake.Store, name string) *node {
	t.Helper()
	n := open(t, store, name)
	s, err := n.OpenSession(t.Context(), metadata.SessionInfo{Nonce: name, Zone: "dev-a", Peer: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	n.session = s
	return n
}

// next returns the request of the lane's next entry.
func (n *node) next(lane metadata.Lane) metadata.AppendRequest {
	n.seq[lane]++
	return metadata.AppendRequest{
		Key:   metadata.EntryKey{Session: n.session.ID(), Lane: lane, Seq: n.seq[lane]},
		Bytes: fmt.Appendf(nil, "entry %v/%v/%d", n.session.ID(), lane, n.seq[lane]),
	}
}

// append appends the lane's next entry.
func (n *node) append(t *testing.T, lane metadata.Lane) metadata.AppendResult {
	t.Helper()
	res, err := n.Append(t.Context(), n.next(lane))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// takeRoleNow takes a role and fails where it is held.
func (n *node) takeRoleNow(t *testing.T, name string) metadata.Role {
	t.Helper()
	for {
		d, ok, err := n.TryRole(t.Context(), n.session.ID(), name)
		if err == nil {
			if !ok {
				t.Fatalf("role %s is held", name)
			}
			return d
		}
		time.Sleep(time.Millisecond)
	}
}

// replica follows a log in place of metadata.Replica.
type replica struct {
	mu      sync.Mutex
	entries []metadata.CommittedEntry
	upTo    metadata.Revision
	caught  bool
	moved   chan struct{}
	lists   int
	err     error
	wg      sync.WaitGroup
	cancel  context.CancelFunc
}

// follow starts a replica. After a compaction it starts again from the log's
// start and keeps what it has.
func (n *node) follow(t *testing.T) *replica {
	t.Helper()
	r := &replica{moved: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	n.UseApplied(r)
	r.wg.Go(func() { r.run(ctx, n.Log) })
	t.Cleanup(r.stop)
	return r
}

func (r *replica) stop() { r.cancel(); r.wg.Wait() }

func (r *replica) run(ctx context.Context, l *etcdlog.Log) {
	for ctx.Err() == nil {
		from, err := l.Start(ctx)
		if err == nil {
			r.lists++
			err = l.Follow(ctx, from, r.deliver)
		}
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *replica) deliver(batch []metadata.CommittedEntry, upTo metadata.Revision, caught bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range batch {
		if n := len(r.entries); n > 0 && c.Revision <= r.entries[n-1].Revision {
			if c.Revision > r.upTo {
				return fmt.Errorf("revision %d delivered out of order", c.Revision)
			}
			continue
		}
		if c.Revision > upTo {
			return fmt.Errorf("revision %d beyond %d", c.Revision, upTo)
		}
		r.entries = append(r.entries, c)
	}
	r.upTo, r.caught = max(r.upTo, upTo), caught
	close(r.moved)
	r.moved = make(chan struct{})
	return nil
}

// wait waits until the replica has everything up to rev.
func (r *replica) wait(ctx context.Context, rev metadata.Revision) error {
	for {
		r.mu.Lock()
		upTo, moved := r.upTo, r.moved
		r.mu.Unlock()
		if upTo >= rev {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

// WaitEntry implements metadata.Applied.
func (r *replica) WaitEntry(ctx context.Context, rev metadata.Revision, key metadata.EntryKey) (metadata.Revision, error) {
	if err := r.wait(ctx, rev); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.entries {
		if r.entries[i].Key() == key {
			return r.entries[i].Revision, nil
		}
	}
	return 0, nil
}

// list returns what the replica has.
func (r *replica) list() []metadata.CommittedEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]metadata.CommittedEntry(nil), r.entries...)
}
