package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

func (w *world) newRand(kind string, n int) *rand.Rand {
	return rand.New(rand.NewPCG(w.generateNumber("rand1", kind, n), w.generateNumber("rand2", kind, n)))
}

// process is one broker process under a supervisor that restarts it. Its goroutine
// (supervise) owns it; others send stop orders.
type process struct {
	w          *world
	name       string
	zone       metadata.ZoneID
	stopOrders chan stopOrder
	instances  int
	current    atomic.Pointer[brokerInstance] // nil while it is down
	// clockOffset is the error of its clock, in milliseconds.
	clockOffset atomic.Int64
	closing     sync.WaitGroup // closing of killed instances
	ended       chan struct{}  // closed when run has returned
}

// stopOrder is how a process is stopped, and for how long it stays down.
type stopOrder struct {
	drain    bool          // SIGTERM; else kill -9
	delay    time.Duration // before it is carried out
	downtime time.Duration
}

// brokerInstance is a process from its start to its end.
type brokerInstance struct {
	id         string
	node       *node.Node
	peerServer *peerServer
	log        *etcdlog.Log
	etcd       *etcdfake.Client
	store      *bucket.FaultyBucket
	failed     chan error // capacity 1: why it stopped serving
	// killScheduled: a fault trigger has fired at it.
	killScheduled atomic.Bool
}

func (w *world) newProcess(name string, zone metadata.ZoneID) *process {
	p := &process{w: w, name: name, zone: zone, stopOrders: make(chan stopOrder, 4), ended: make(chan struct{})}
	w.processes = append(w.processes, p)
	return p
}

// zoneAddr is the listener address for clients of the k-th zone; -1: without a zone.
func (p *process) zoneAddr(k int) string { return fmt.Sprintf("%s:%d", p.name, 9092+1+k) }

// requestStop sends a stop order, unless too many are waiting.
func (p *process) requestStop(o stopOrder) {
	select {
	case p.stopOrders <- o:
	default:
	}
}

// supervise starts the process again and again until ctx ends.
func (p *process) supervise(ctx context.Context) {
	defer close(p.ended)
	defer p.closing.Wait()
	for {
		l, err := p.startInstance(ctx)
		if err != nil {
			return // only ctx ends it
		}
		p.current.Store(l)
		down := p.awaitStop(ctx, l)
		select {
		case <-time.After(down + time.Duration(p.w.generateNumber("restart", l.id, 0)%100_000_000)):
		case <-ctx.Done():
			return
		}
	}
}

// awaitStop waits for what ends the instance, ends it, and returns how long the
// process stays down.
func (p *process) awaitStop(ctx context.Context, l *brokerInstance) time.Duration {
	closed := p.w.gateClosed()
	select {
	case o := <-p.stopOrders:
		time.Sleep(o.delay)
		if o.drain {
			p.drainInstance(ctx, l)
		} else {
			p.killInstance(l)
		}
		return o.downtime
	case err := <-l.failed:
		// A broker that stopped by itself waits for the operator; after a restart
		// it could not know what etcd has lost.
		wait := p.w.recordStop(l.id, err)
		p.killInstance(l)
		if !wait {
			return 300 * time.Millisecond
		}
		select {
		case <-closed:
		case <-ctx.Done():
		}
	case <-closed:
		p.killInstance(l)
	case <-ctx.Done():
		p.current.Store(nil)
		l.close()
	}
	return 0
}

// startInstance starts an instance. It returns when the broker runs, not when it serves.
func (p *process) startInstance(ctx context.Context) (*brokerInstance, error) {
	for {
		if err := p.w.waitGateOpen(ctx); err != nil {
			return nil, err
		}
		p.instances++
		l := &brokerInstance{id: fmt.Sprintf("%s.%d", p.name, p.instances), failed: make(chan error, 1)}
		l.etcd = p.w.newEtcdClient(l.id, string(p.zone))
		err := p.openBroker(ctx, l)
		if err == nil {
			return l, nil
		}
		p.w.logger.Info("start", "process", l.id, "err", err)
		// etcd may be unreachable: a process manager restarts the broker.
		select {
		case <-time.After(200*time.Millisecond + time.Duration(p.w.generateNumber("reopen", l.id, 0)%10_000_000)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *process) openBroker(ctx context.Context, l *brokerInstance) (err error) {
	if l.log, err = p.w.openLog(ctx, l.etcd, p.name, p.instances); err != nil {
		return err
	}
	p.w.observeStart()
	var b bucket.Bucket
	l.store, b = p.w.bucketFor(l.id)
	var earlier []bucket.Attempt // before a node exists that counts them, as in the broker command
	seen := bucket.WithObserver(ctx, func(a bucket.Attempt) { earlier = append(earlier, a) })
	if err := recovery.CheckStart(seen, l.log, bucket.Prefix(b, cluster+"/")); err != nil {
		l.log.Close()
		l.store.Close()
		return err
	}
	cfg := p.nodeConfig(l, b)
	cfg.StartRequests = earlier
	if l.node, err = node.Start(cfg); err != nil {
		l.log.Close()
		l.store.Close()
		return err
	}
	p.w.addNode(l)
	if l.peerServer, err = p.startPeerServer(l); err != nil {
		l.close()
		return err
	}
	return nil
}

func (p *process) nodeConfig(l *brokerInstance, b bucket.Bucket) node.Config {
	cfg := node.DefaultConfig()
	cfg.Cluster, cfg.Zone, cfg.Log, cfg.Bucket = cluster, p.zone, l.log, b
	cfg.Kafka, cfg.Peer, cfg.Peers = metadata.Address{Host: p.name, Port: 9092}, p.peerAddr(), &peerClient{p.w, l.id}
	cfg.Listen = func(_ metadata.ZoneID, k int) (net.Listener, error) { return p.w.net.listen(l.id, p.zoneAddr(k)) }
	cfg.InlineLimit = func() int { return 8 << 10 }
	cfg.Route = func() metadata.Route {
		return metadata.Route{Broker: p.zone, Member: p.zone, Leader: "a", Followers: []metadata.ZoneID{"b", "c"}}
	}
	cfg.Linger = 40 * time.Millisecond
	cfg.RebalanceDelay = 0
	cfg.Times = metadata.MaintenanceTimes{Publish: 700 * time.Millisecond, Tick: 900 * time.Millisecond, Archive: 2 * time.Second,
		Checkpoint: 3 * time.Second, Sweep: 800 * time.Millisecond, Retention: 300 * time.Millisecond, RetentionCheck: p.w.retentionCheck(), ReleaseItems: releaseItems,
		Base: 4 * time.Second, Garbage: 600 * time.Millisecond, Inline: 1500 * time.Millisecond, InlineAge: 8 * time.Second, Grace: p.w.garbageGrace(), LeftoverGrace: leftoverGrace, ArchiveEntries: 2000, ArchiveInline: 8 << 20}
	cfg.UsageInterval = 3 * time.Second
	cfg.Logger = slog.New(clockLogHandler{p.w.logger.With("process", l.id).Handler(), p.w})
	cfg.Clock, cfg.Limits = p.readClock, p.w.clusterLimits()
	cfg.Rand = p.w.newRand("node/"+p.name, p.instances)
	cfg.Metrics = prometheus.NewRegistry()
	cfg.TailBytes, cfg.BlockBytes = 8<<20, 64<<20
	cfg.SetHooks(p.hooks(l))
	cfg.Fatal = func(err error) { l.failed <- err }
	return cfg
}

// hooks let a moment pass, another one for each, where several things may happen
// at one instant. Entries that come together, from archives and lists, are applied
// at instants of their own.
func (p *process) hooks(l *brokerInstance) metadata.Hooks {
	return metadata.Hooks{
		BeforeApply:  func(at metadata.Revision) { p.w.sleepDistinct(fmt.Sprintf("pace0/%s", l.id), int(at)) },
		AfterBarrier: func(number uint64) { p.w.sleepDistinct(fmt.Sprintf("pace1/%s", l.id), int(number)) },
		BeforeLane: func(id metadata.SessionID, lane metadata.Lane) {
			p.w.sleepDistinct(fmt.Sprintf("lane/%s/%s/%s", l.id, id, lane), int(time.Now().UnixNano()))
		},
		DuringRead: func(tp metadata.TopicPartition, from metadata.Offset) {
			p.w.sleepDistinct(fmt.Sprintf("read/%s/%x/%d", l.id, tp.Topic, tp.Partition), int(from))
		},
	}
}

// killInstance ends an instance like kill -9: it receives no more responses, requests
// in flight may still take effect, and its session ends with its lease. The kill
// happens at a distinct instant.
func (p *process) killInstance(l *brokerInstance) {
	time.Sleep(1 + time.Duration(p.w.generateNumber("kill", l.id, 0)%200_000))
	p.w.trace("kill %s", l.id)
	p.w.observeInstance(l)
	p.w.markDead(l.id)
	l.etcd.Cut(true)
	l.store.SetDown(true)
	p.w.net.disconnectOwner(l.id)
	p.current.Store(nil)
	p.closing.Go(func() { l.close() })
}

// drainTimeout is the maximum duration of a drain; after it the process is killed.
const drainTimeout = 20 * time.Second

// drainInstance drains, as SIGTERM does.
func (p *process) drainInstance(ctx context.Context, l *brokerInstance) {
	p.w.trace("stop %s", l.id)
	p.w.observeInstance(l)
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if err := l.node.Drain(ctx); err != nil {
		p.w.logger.Info("drain", "process", l.id, "err", err)
	}
	p.current.Store(nil)
	l.close()
}

func (l *brokerInstance) close() {
	l.node.Close()
	if l.peerServer != nil {
		l.peerServer.close()
	}
	l.log.Close()
	l.store.Close()
}
