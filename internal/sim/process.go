package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

func (w *world) rand(kind string, n int) *rand.Rand {
	return rand.New(rand.NewPCG(w.draw("rand1", kind, n), w.draw("rand2", kind, n)))
}

// process is one broker process: it can be killed and started again.
type process struct {
	w     *world
	name  string
	zone  metadata.ZoneID
	life  int
	node  *node.Node
	log   *etcdlog.Log
	etcd  *etcdfake.Client
	store *bucket.Fault
	fatal error // why it stopped serving
	gone  []func()
}

func (w *world) newProcess(name string, zone metadata.ZoneID) *process {
	return &process{w: w, name: name, zone: zone}
}

// addr is where the process listens for clients of the k-th zone, or of none.
func (p *process) addr(k int) string { return fmt.Sprintf("%s:%d", p.name, 9092+1+k) }

// start begins a life. It returns when the broker runs, not when it serves.
func (p *process) start(ctx context.Context) error {
	p.life++
	id := fmt.Sprintf("%s.%d", p.name, p.life)
	p.fatal = nil
	p.etcd = p.w.etcd.Client(id, string(p.zone))
	var err error
	for { // etcd may be out of reach: a process manager starts it again
		if p.log, err = p.w.openLog(ctx, p.etcd, p.name, p.life); err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(200*time.Millisecond + time.Duration(p.w.draw("reopen", id, 0)%1_000_000))
	}
	if err != nil {
		return err
	}
	var b bucket.Bucket
	p.store, b = p.w.bucketFor(id)
	p.node, err = node.Start(p.config(b))
	return err
}

func (p *process) config(b bucket.Bucket) node.Config {
	cfg := node.DefaultConfig()
	cfg.Cluster, cfg.Zone, cfg.Log, cfg.Bucket = cluster, p.zone, p.log, b
	cfg.Kafka = metadata.Address{Host: p.name, Port: 9092}
	cfg.Listen = func(_ metadata.ZoneID, k int) (net.Listener, error) { return p.w.net.listen(p.addr(k)) }
	cfg.InlineLimit = func() int { return 8 << 10 }
	cfg.Route = func() metadata.Route {
		return metadata.Route{Broker: p.zone, Member: p.zone, Leader: "a", Followers: []metadata.ZoneID{"b", "c"}}
	}
	cfg.Linger = 40 * time.Millisecond
	cfg.RebalanceDelay = 0
	cfg.Times = metadata.CustodianTimes{Publish: 700 * time.Millisecond, Tick: 900 * time.Millisecond, Archive: 2 * time.Second,
		Checkpoint: 3 * time.Second, Sweep: 800 * time.Millisecond, ArchiveEntries: 2000, ArchiveInline: 8 << 20}
	cfg.Usage = 3 * time.Second
	cfg.Logger = p.w.logger.With("process", fmt.Sprintf("%s.%d", p.name, p.life))
	cfg.Rand = p.w.rand("node/"+p.name, p.life)
	cfg.Metrics = metrics.NewSet()
	cfg.TailBytes, cfg.BlockBytes = 8<<20, 64<<20
	cfg.Fatal = func(err error) { p.fatal = err }
	return cfg
}

// kill ends a life as kill -9 does: nothing it asked for is answered any more,
// what is on its way may still land, and its session ends with its lease.
func (p *process) kill() {
	if p.node == nil {
		return
	}
	p.etcd.Cut(true)
	p.store.SetDown(true)
	n, l, s := p.node, p.log, p.store
	p.node = nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Close()
		l.Close()
		s.Close()
	}()
	p.gone = append(p.gone, func() { <-done })
}

// stop drains, as SIGTERM does.
func (p *process) stop(ctx context.Context) error {
	if p.node == nil {
		return nil
	}
	err := p.node.Drain(ctx)
	p.node.Close()
	p.log.Close()
	p.store.Close()
	p.node = nil
	return err
}

// bury waits for the goroutines of killed lives.
func (p *process) bury() {
	for _, wait := range p.gone {
		wait()
	}
	p.gone = nil
}
