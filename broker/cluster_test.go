package broker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/wal"
)

// world is a cluster of brokers over one in-memory log and bucket.
type world struct {
	t    testing.TB
	log  *metadata.MemLog
	deaf atomic.Bool // where the log ends cannot be learnt
	// barrierReads counts reads of the log's end; each takes barrierDelay.
	barrierReads, barrierDelay atomic.Int64
	bucket                     bucket.Bucket
	nodes                      []*node
	limits                     *metadata.Limits // nil: those of every cluster
}

// node is one broker of a world.
type node struct {
	w       *world
	zone    metadata.ZoneID
	session metadata.Session
	id      metadata.BrokerID
	replica *metadata.Replica
	store   *s3stream.Store
	wal     *wal.WAL
	groups  *groups.Coordinator
	server  *Server
	end     func()
	addr    string // of the listener without a zone
	zoned   map[metadata.ZoneID]string
}

// deafLog is the log, whose end cannot be learnt while the world is deaf.
type deafLog struct {
	*metadata.MemLog
	w *world
}

func (l deafLog) Barrier(ctx context.Context) (metadata.Revision, error) {
	if l.w.deaf.Load() {
		return 0, errors.New("etcd has no quorum")
	}
	l.w.barrierReads.Add(1)
	time.Sleep(time.Duration(l.w.barrierDelay.Load()))
	return l.MemLog.Barrier(ctx)
}

type freeGovernor struct{}

func (freeGovernor) Acquire(context.Context, metadata.Lane, wal.Cost) error { return nil }
func (freeGovernor) InlineAllowed(int) bool                                 { return true }
func (freeGovernor) Settle(wal.Cost)                                        {}

// walWriter is the WAL as the broker's door.
type walWriter struct{ *wal.WAL }

func (w walWriter) Append(ctx context.Context, b wal.Batch) (Ack, error) { return w.WAL.Append(ctx, b) }

func newWorld(t testing.TB) *world {
	w := &world{t: t, log: metadata.NewMemLog(), bucket: bucket.NewMem()}
	w.log.Latency = 2 * time.Millisecond // etcd's, at best
	return w
}

// listenTCP opens loopback listeners; the bubble's tests bring their own.
func listenTCP(t testing.TB) (net.Listener, string, int32) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	n, _ := strconv.Atoi(port)
	return ln, host, int32(n)
}

// testCluster is the id of the cluster of every world.
var testCluster = metadata.ClusterID{1, 2, 3}

// start adds a broker in a zone, with a listener for each of zones and one
// without. listen gives the listeners.
func (w *world) start(zone metadata.ZoneID, zones []metadata.ZoneID, change func(*Config), listen func() (net.Listener, string, int32)) *node {
	w.t.Helper()
	n := &node{w: w, zone: zone, id: metadata.NoBroker, zoned: map[metadata.ZoneID]string{}}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	n.replica = metadata.NewReplica(metadata.ReplicaConfig{Log: deafLog{w.log, w}, Logger: quiet, Limits: w.limits, Fatal: func(err error) { w.t.Errorf("replica: %v", err) }})
	n.store = s3stream.NewStore(s3stream.Config{Bucket: w.bucket, Replica: n.replica, Decompress: Decompress, Logger: quiet})
	seed := uint64(len(w.nodes) + 1)
	var writer groupWriter
	writer.n = n
	var err error
	if n.groups, err = groups.Open(groups.Config{Writer: writer, Replica: n.replica, Log: quiet, Rand: rand.New(rand.NewPCG(seed, 2)), InitialRebalanceDelay: -1,
		ConsumerHeartbeatInterval: 200 * time.Millisecond}); err != nil {
		w.t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Zone, cfg.Self = zone, func() metadata.BrokerID { return n.id }
	cfg.Replica, cfg.Reader, cfg.Writer, cfg.Groups = n.replica, n.store, writer, n.groups
	cfg.Resolver = router.NewResolver(zones, nil, nil)
	cfg.Rand, cfg.Log, cfg.Metrics = rand.New(rand.NewPCG(seed, 1)), quiet, prometheus.NewRegistry()
	if change != nil {
		change(&cfg)
	}
	if n.server, err = Open(cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.replica.Run(ctx) })
	n.openSession(zones, listen)
	for slot := range metadata.Slot(metadata.GroupSlots) {
		if d, ok, err := w.log.TryRole(ctx, n.session.ID(), groups.SlotRole(slot)); err == nil && ok {
			n.groups.Prepare(slot)
			out, err := n.wal.Submit(ctx, []metadata.Command{metadata.ClaimRole{Role: d.Name, Epoch: d.Epoch}}, nil)
			if err != nil || out.Code != 0 {
				w.t.Fatalf("claim: %v %+v", err, out)
			}
			n.groups.TakeOver(ctx, slot, d.Epoch)
		}
	}
	n.end = func() {
		n.server.Close()
		n.groups.Close()
		closing, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		n.wal.Close(closing)
		cancel()
		wg.Wait()
		n.store.Close()
	}
	w.nodes = append(w.nodes, n)
	w.t.Cleanup(n.close)
	return n
}

type groupWriter struct{ n *node }

func (g groupWriter) Append(ctx context.Context, b wal.Batch) (Ack, error) {
	return walWriter{g.n.wal}.Append(ctx, b)
}

func (g groupWriter) Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error) {
	return g.n.wal.Submit(ctx, cmds, guard)
}

func (n *node) close() {
	if n.end != nil {
		n.end()
		n.end = nil
	}
}

func (n *node) openSession(zones []metadata.ZoneID, listen func() (net.Listener, string, int32)) {
	t := n.w.t
	t.Helper()
	ctx := context.Background()
	var err error
	if n.session, err = n.w.log.OpenSession(ctx, metadata.SessionInfo{Nonce: strconv.Itoa(len(n.w.nodes)), Zone: n.zone}); err != nil {
		t.Fatal(err)
	}
	n.wal, err = wal.Open(wal.Config{Session: n.session.ID(), Log: n.w.log, Replica: n.replica, Uploader: n.store, Governor: freeGovernor{},
		Rand: rand.New(rand.NewPCG(uint64(len(n.w.nodes)), 3)), Linger: 5 * time.Millisecond, InlineLimit: func() int { return 4 << 10 }})
	if err != nil {
		t.Fatal(err)
	}
	open := metadata.OpenSession{Want: metadata.NoBroker, Zone: n.zone, MinLevel: 1, MaxLevel: 1, Cluster: testCluster}
	ln, host, port := listen()
	open.Kafka = metadata.Address{Host: host, Port: port}
	n.addr = net.JoinHostPort(host, strconv.Itoa(int(port)))
	lns := map[metadata.ZoneID]net.Listener{"": ln}
	for _, z := range zones {
		zl, zh, zp := listen()
		lns[z] = zl
		open.ZonePorts = append(open.ZonePorts, zp)
		n.zoned[z] = net.JoinHostPort(zh, strconv.Itoa(int(zp)))
	}
	out, err := n.wal.Submit(ctx, []metadata.Command{open}, nil)
	if err != nil || out.Code != 0 || out.Commands[0].Code != 0 {
		t.Fatalf("open session: %v %+v", err, out)
	}
	n.id = metadata.BrokerID(out.Commands[0].Value)
	for z, l := range lns {
		if err := n.server.AddListener(z, l); err != nil {
			t.Fatal(err)
		}
	}
}

// tcp starts a broker on loopback.
func (w *world) tcp(zone metadata.ZoneID, zones []metadata.ZoneID, change func(*Config)) *node {
	return w.start(zone, zones, change, func() (net.Listener, string, int32) { return listenTCP(w.t) })
}
