package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/etcdserver"
	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
)

// devCluster is everything that `zonewise dev` runs. What it owns is closed in
// the opposite order of its opening, by shut.
type devCluster struct {
	o       *devOptions
	logger  *slog.Logger
	fatal   func(error)
	ports   *devPorts
	bucket  *openedBucket
	member  *etcdserver.Member
	book    *costmodel.Book
	nodes   []*node.Node
	closers []func()

	allStarted chan struct{} // closed when all nodes have started
}

func startDev(ctx context.Context, o *devOptions, logger *slog.Logger, fatal func(error)) (d *devCluster, err error) {
	d = &devCluster{o: o, logger: logger, fatal: fatal, allStarted: make(chan struct{})}
	defer func() {
		if err != nil {
			d.kill()
		}
	}()
	if err := d.openResources(ctx); err != nil {
		return d, err
	}
	client, err := d.openClient()
	if err != nil {
		return d, err
	}
	if _, err := ensureCluster(ctx, etcdlog.FromEtcd(client), o.cluster, d.bucket); err != nil {
		return d, err
	}
	process := processMetrics()
	var pages []http.Handler
	for i := range o.zones {
		// One after the other: the cluster remembers zones in the order in
		// which they appear, and dev-a is the first.
		n, err := d.startNode(ctx, i)
		if err != nil {
			return d, fmt.Errorf("start broker of %s: %w", devZone(i), err)
		}
		page, err := n.HTTPHandler(d.book, process)
		if err != nil {
			return d, err
		}
		pages = append(pages, page)
	}
	close(d.allStarted) // or the first would take all groups, and hand most of them on while clients use them
	if err := d.nodes[0].WaitGroups(ctx); err != nil {
		return d, err
	}
	for _, n := range d.nodes { // the new coordinator of a group has loaded it
		if err := n.WaitReady(ctx); err != nil {
			return d, err
		}
	}
	close(d.ports.ready)
	w := serveHTTP(d.ports.http, d.newHandler(pages), logger, fatal)
	d.closers = append(d.closers, w.stop)
	return d, nil
}

// openResources takes the folder and the ports, and starts etcd.
func (d *devCluster) openResources(ctx context.Context) (err error) {
	if err := d.lockData(); err != nil {
		return err
	}
	if d.book, err = loadPriceBook(d.o.tune.priceBook); err != nil {
		return err
	}
	if d.ports, err = openDevPorts(d.o); err != nil {
		return err
	}
	d.closers = append(d.closers, d.ports.close)
	if d.bucket, err = openBucket(ctx, filepath.Join(d.o.dataDir, "bucket")); err != nil {
		return err
	}
	d.closers = append(d.closers, d.bucket.close)
	// Its warnings are advice for real clusters (one port, tokens); dev is none.
	logger, silence := silenceable(d.logger, slog.LevelError)
	d.member, err = etcdserver.Start(ctx, etcdserver.Config{Name: string(devZone(0)), Dir: filepath.Join(d.o.dataDir, "etcd"),
		ClientURL: "http://127.0.0.1:0", UnsafeNoFsync: d.o.noSync, Logger: logger})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, d.member.Stop, silence)
	return nil
}

// lockData keeps a second `zonewise dev` out of the folder.
func (d *devCluster) lockData() error {
	if err := os.MkdirAll(d.o.dataDir, 0o755); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(d.o.dataDir, "dev.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("lock data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("another zonewise dev runs in %s: stop it, or choose another folder with --data-dir", d.o.dataDir), f.Close())
	}
	d.closers = append(d.closers, func() { _ = f.Close() }) // and with it the lock
	return nil
}

func (d *devCluster) openClient() (*clientv3.Client, error) {
	c, err := d.member.Client()
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, func() { _ = c.Close() })
	return c, nil
}

func (d *devCluster) startNode(ctx context.Context, i int) (*node.Node, error) {
	client, err := d.openClient()
	if err != nil {
		return nil, err
	}
	zone, seeds := devZone(i), newRand()
	logger := devLogger(d.logger, i)
	log, err := etcdlog.Open(ctx, etcdlog.Config{Cluster: d.o.cluster, Client: etcdlog.FromEtcd(client), Logger: logger, Rand: seeds,
		MemberZone: func(name string) metadata.ZoneID { return metadata.ZoneID(name) }})
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, log.Close)
	cfg := node.DefaultConfig()
	cfg.Cluster, cfg.Zone, cfg.Version = d.o.cluster, zone, fullVersion()
	cfg.Log, cfg.Bucket = log, d.bucket
	cfg.Kafka = metadata.Address{Host: "127.0.0.1", Port: int32(devPort(d.o.kafkaPort, i, node.NoZone))}
	for j := range maxDevZones {
		cfg.ZonePorts = append(cfg.ZonePorts, int32(devPort(d.o.kafkaPort, i, j)))
	}
	cfg.HTTP = fmt.Sprintf("127.0.0.1:%d", d.o.httpPort)
	cfg.Listen = d.ports.listenerFunc(i)
	cfg.GroupsFrom = d.allStarted
	cfg.ClientCounter = d
	route := metadata.Route{Broker: zone, Member: devZone(0), Leader: devZone(0)}
	cfg.Route = func() metadata.Route { return route }
	limit, err := inlineLimit(d.book, route)
	if err != nil {
		return nil, err
	}
	d.o.tune.apply(&cfg, func() int { return limit })
	cfg.Logger, cfg.Rand, cfg.Metrics, cfg.Fatal = logger, newRand(), prometheus.NewRegistry(), d.fatal
	n, err := node.Start(cfg)
	if err != nil {
		return nil, err
	}
	d.nodes = append(d.nodes, n)
	return n, n.WaitReady(ctx)
}

// Clients implements node.ClientCounter: the brokers share this process, and have no broker-to-broker interfaces. The
// pages that call it are served once all have started.
func (d *devCluster) Clients(_ context.Context, id metadata.BrokerID, _ string) (node.ZoneClients, error) {
	for _, n := range d.nodes {
		if n.Broker() == id {
			return n.Clients(), nil
		}
	}
	return nil, fmt.Errorf("count clients of broker %d: it is none of this process", id)
}

func (d *devCluster) drain() error {
	err := drainAll(d.nodes)
	d.shutdown()
	return err
}

// kill ends everything at once, as a crash does, but waits for it.
func (d *devCluster) kill() {
	closeAll(d.nodes)
	d.shutdown()
}

func (d *devCluster) shutdown() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i]()
	}
	d.closers, d.nodes = nil, nil
}
