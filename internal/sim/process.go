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

func (w *world) rand(kind string, n int) *rand.Rand {
	return rand.New(rand.NewPCG(w.draw("rand1", kind, n), w.draw("rand2", kind, n)))
}

// process is one broker process under a supervisor: what kills it, it survives.
// Its goroutine (run) owns it; others give orders.
type process struct {
	w      *world
	name   string
	zone   metadata.ZoneID
	orders chan order
	life   int
	now    atomic.Pointer[life] // nil while it is down
	// clockOff is by how much its clock is off, in milliseconds.
	clockOff atomic.Int64
	gone     sync.WaitGroup // closing of killed lives
	ended    chan struct{}  // closed when run has returned
}

// order is what is done to a process, and for how long it stays down.
type order struct {
	drain bool          // SIGTERM; else kill -9
	first time.Duration // before it is carried out
	down  time.Duration
}

// life is a process from its start to its end.
type life struct {
	id    string
	node  *node.Node
	door  *peerDoor
	log   *etcdlog.Log
	etcd  *etcdfake.Client
	store *bucket.Fault
	fatal chan error // capacity 1: why it stopped serving
	// doomed: a trap has sprung at it.
	doomed atomic.Bool
}

func (w *world) newProcess(name string, zone metadata.ZoneID) *process {
	p := &process{w: w, name: name, zone: zone, orders: make(chan order, 4), ended: make(chan struct{})}
	w.processes = append(w.processes, p)
	return p
}

// addr is where the process listens for clients of the k-th zone, or of none.
func (p *process) addr(k int) string { return fmt.Sprintf("%s:%d", p.name, 9092+1+k) }

// order gives an order, unless too many wait.
func (p *process) order(o order) {
	select {
	case p.orders <- o:
	default:
	}
}

// run starts the process again and again until ctx ends.
func (p *process) run(ctx context.Context) {
	defer close(p.ended)
	defer p.gone.Wait()
	for {
		l, err := p.start(ctx)
		if err != nil {
			return // only ctx ends it
		}
		p.now.Store(l)
		down := p.serve(ctx, l)
		select {
		case <-time.After(down + time.Duration(p.w.draw("restart", l.id, 0)%100_000_000)):
		case <-ctx.Done():
			return
		}
	}
}

// serve waits for what ends the life, ends it, and returns how long the
// process stays down.
func (p *process) serve(ctx context.Context, l *life) time.Duration {
	closed := p.w.gateClosed()
	select {
	case o := <-p.orders:
		time.Sleep(o.first)
		if o.drain {
			p.stop(ctx, l)
		} else {
			p.kill(l)
		}
		return o.down
	case err := <-l.fatal:
		// Whoever stopped by itself waits for the operator; started again, it
		// could not know what etcd has lost.
		wait := p.w.stopped(l.id, err)
		p.kill(l)
		if !wait {
			return 300 * time.Millisecond
		}
		select {
		case <-closed:
		case <-ctx.Done():
		}
	case <-closed:
		p.kill(l)
	case <-ctx.Done():
		p.now.Store(nil)
		l.close()
	}
	return 0
}

// start begins a life. It returns when the broker runs, not when it serves.
func (p *process) start(ctx context.Context) (*life, error) {
	for {
		if err := p.w.waitGate(ctx); err != nil {
			return nil, err
		}
		p.life++
		l := &life{id: fmt.Sprintf("%s.%d", p.name, p.life), fatal: make(chan error, 1)}
		l.etcd = p.w.client(l.id, string(p.zone))
		err := p.open(ctx, l)
		if err == nil {
			return l, nil
		}
		p.w.logger.Info("start", "process", l.id, "error", err)
		// etcd may be out of reach: a process manager starts it again.
		select {
		case <-time.After(200*time.Millisecond + time.Duration(p.w.draw("reopen", l.id, 0)%10_000_000)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *process) open(ctx context.Context, l *life) (err error) {
	if l.log, err = p.w.openLog(ctx, l.etcd, p.name, p.life); err != nil {
		return err
	}
	p.w.sawStart()
	var b bucket.Bucket
	l.store, b = p.w.bucketFor(l.id)
	var earlier []bucket.Attempt // before there is a node that counts them, as the broker command has it
	seen := bucket.WithObserver(ctx, func(a bucket.Attempt) { earlier = append(earlier, a) })
	if err := recovery.CheckStart(seen, l.log, bucket.Prefix(b, cluster+"/")); err != nil {
		l.log.Close()
		l.store.Close()
		return err
	}
	cfg := p.config(l, b)
	cfg.Earlier = earlier
	if l.node, err = node.Start(cfg); err != nil {
		l.log.Close()
		l.store.Close()
		return err
	}
	if l.door, err = p.openPeerDoor(l); err != nil {
		l.close()
		return err
	}
	return nil
}

func (p *process) config(l *life, b bucket.Bucket) node.Config {
	cfg := node.DefaultConfig()
	cfg.Cluster, cfg.Zone, cfg.Log, cfg.Bucket = cluster, p.zone, l.log, b
	cfg.Kafka, cfg.Peer, cfg.Peers = metadata.Address{Host: p.name, Port: 9092}, p.peerAddr(), &peers{p.w, l.id}
	cfg.Listen = func(_ metadata.ZoneID, k int) (net.Listener, error) { return p.w.net.listen(l.id, p.addr(k)) }
	cfg.InlineLimit = func() int { return 8 << 10 }
	cfg.Route = func() metadata.Route {
		return metadata.Route{Broker: p.zone, Member: p.zone, Leader: "a", Followers: []metadata.ZoneID{"b", "c"}}
	}
	cfg.Linger = 40 * time.Millisecond
	cfg.RebalanceDelay = 0
	cfg.Times = metadata.MaintenanceTimes{Publish: 700 * time.Millisecond, Tick: 900 * time.Millisecond, Archive: 2 * time.Second,
		Checkpoint: 3 * time.Second, Sweep: 800 * time.Millisecond, ArchiveEntries: 2000, ArchiveInline: 8 << 20}
	cfg.Usage = 3 * time.Second
	cfg.Logger = slog.New(clockWatch{p.w.logger.With("process", l.id).Handler(), p.w})
	cfg.Clock, cfg.Limits = p.clock, p.w.limits()
	cfg.Rand = p.w.rand("node/"+p.name, p.life)
	cfg.Metrics = prometheus.NewRegistry()
	cfg.TailBytes, cfg.BlockBytes = 8<<20, 64<<20
	// Entries that come together, from archives and lists, are applied apart:
	// those whom one of them wakes do not race with the next one. The same
	// for those who share a barrier.
	cfg.Pace = func(at metadata.PacePoint, n uint64) {
		p.w.pause(fmt.Sprintf("pace%d/%s", at, l.id), int(n))
	}
	cfg.PaceLane = func(id metadata.SessionID, lane metadata.Lane) {
		p.w.pause(fmt.Sprintf("lane/%s/%s/%s", l.id, id, lane), int(time.Now().UnixNano()))
	}
	cfg.Apart = func(tp metadata.TopicPartition, from metadata.Offset) {
		p.w.pause(fmt.Sprintf("read/%s/%x/%d", l.id, tp.Topic, tp.Partition), int(from))
	}
	cfg.Fatal = func(err error) { l.fatal <- err }
	return cfg
}

// kill ends a life as kill -9 does: nothing it asked for is answered any more,
// what is on its way may still land, and its session ends with its lease. It
// happens at an instant of its own.
func (p *process) kill(l *life) {
	time.Sleep(1 + time.Duration(p.w.draw("kill", l.id, 0)%200_000))
	p.w.trace("kill %s", l.id)
	p.w.sawLife(l)
	p.w.bury(l.id)
	l.etcd.Cut(true)
	l.store.SetDown(true)
	p.w.net.sever(l.id)
	p.now.Store(nil)
	p.gone.Go(func() { l.close() })
}

// drainPatience is how long a drain may take before the process is killed.
const drainPatience = 20 * time.Second

// stop drains, as SIGTERM does.
func (p *process) stop(ctx context.Context, l *life) {
	p.w.trace("stop %s", l.id)
	p.w.sawLife(l)
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	if err := l.node.Drain(ctx); err != nil {
		p.w.logger.Info("drain", "process", l.id, "error", err)
	}
	p.now.Store(nil)
	l.close()
}

func (l *life) close() {
	l.node.Close()
	if l.door != nil {
		l.door.close()
	}
	l.log.Close()
	l.store.Close()
}
