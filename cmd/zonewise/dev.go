package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/metadata"
)

// devMemory is the default of each memory limit of each broker in dev: several
// share a laptop.
const devMemory = 64 << 20

// maxDevZones is how many zones the port rule has room for.
const maxDevZones = 4

type devOptions struct {
	dataDir   string
	cluster   string
	kafkaPort int
	httpPort  int
	zones     int
	demo      bool
	tune      tuneOptions
	log       logOptions
	noSync    bool // tests only
}

func devCommand() cli.Command {
	return cli.Command{
		Name:  "dev",
		Short: "Run a whole cluster of three zones in one process, for development",
		Long: `
Starts one broker per zone (dev-a, dev-b, dev-c), an etcd member in dev-a that
syncs its disk, and a bucket that is a folder, all in one process and under
--data-dir. Everything acknowledged survives kill -9 and a restart.

Ports, with P = --kafka-port, and zones i and j counted from 0:
  P+i         the broker of zone i, for clients of zone i (its bootstrap)
  P+10+4i+j   broker i, for clients of zone j (used by itself)
  P+30+i      broker i, for clients that no evidence places
It listens on 127.0.0.1 only. Ctrl-C drains the brokers and ends it.`,
		Examples: []string{
			"zonewise dev",
			"zonewise dev --demo --data-dir /tmp/zw --kafka-port 19092 --http-port 18080",
			"kcat -b 127.0.0.1:9093 -L    # the cluster as clients of dev-b see it",
		},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &devOptions{}
			s.String(&o.dataDir, "data-dir", "./zonewise-data", "FOLDER", "where etcd's files and the bucket are; delete it to begin anew")
			s.Int(&o.kafkaPort, "kafka-port", 9092, "PORT", "P above: the first zone's bootstrap")
			s.Int(&o.httpPort, "http-port", 8080, "PORT", "page, API and metrics")
			s.Int(&o.zones, "zones", 3, "COUNT", "how many zones, 1 to 4")
			s.Bool(&o.demo, "demo", false, "sample traffic from clients in all zones, one of them without a zone")
			s.String(&o.cluster, "cluster", "main", "NAME", "of the cluster, in etcd and in the bucket")
			o.tune.declareTune(s, devMemory)
			o.log.declareLog(s, "warn")
			return func(ctx context.Context, env cli.Env) error { return runDev(ctx, o, env) }
		},
	}
}

func runDev(ctx context.Context, o *devOptions, env cli.Env) error {
	logger, err := o.log.newLogger(env.Stderr)
	if err != nil {
		return err
	}
	if err := o.validate(); err != nil {
		return err
	}
	defer limitMemory(logger, &o.tune, o.zones)()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	d, err := startDev(ctx, o, logger, func(err error) { fail(err) })
	if err != nil {
		return err
	}
	d.printAddresses(env.Stdout)
	demo := func() {}
	if o.demo {
		demo = startDemo(ctx, o, logger)
		fmt.Fprintln(env.Stdout, "  demo        topics orders, clicks and audit get a modest stream of traffic")
	}
	<-ctx.Done()
	demo()
	if cause := context.Cause(ctx); cause != context.Canceled {
		d.kill()
		return cause
	}
	fmt.Fprintln(env.Stdout, "draining; once more to stop at once")
	return d.drain()
}

func (o *devOptions) validate() error {
	switch {
	case o.zones < 1 || o.zones > maxDevZones:
		return cli.Usagef("--zones %d: want 1 to %d", o.zones, maxDevZones)
	case o.kafkaPort < 1 || o.kafkaPort+33 > 65535:
		return cli.Usagef("--kafka-port %d: want 1 to %d", o.kafkaPort, 65535-33)
	case o.httpPort < 1 || o.httpPort > 65535:
		return cli.Usagef("--http-port %d: want 1 to 65535", o.httpPort)
	case o.dataDir == "":
		return cli.Usagef("--data-dir is empty")
	}
	return o.tune.validate()
}

func devZone(i int) metadata.ZoneID { return metadata.ZoneID("dev-" + string(rune('a'+i))) }

// devPort is where broker i listens for clients of zone j, or of none.
func devPort(p, i, j int) int {
	switch j {
	case node.NoZone:
		return p + 30 + i
	case i:
		return p + i
	}
	return p + 10 + 4*i + j
}

// devPorts holds every listener before anything starts, so that a port that is
// taken is found before etcd has begun.
type devPorts struct {
	kafka map[[2]int]net.Listener // by broker and client zone
	http  net.Listener
	ready chan struct{} // closed when clients may come
}

// lateListener accepts no connection before it is opened: earlier ones wait,
// and do not get incomplete metadata of a cluster that is starting.
type lateListener struct {
	net.Listener
	ready  <-chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (l *lateListener) Accept() (net.Conn, error) {
	select {
	case <-l.ready:
		return l.Listener.Accept()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *lateListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func openDevPorts(o *devOptions) (_ *devPorts, err error) {
	p := &devPorts{kafka: map[[2]int]net.Listener{}, ready: make(chan struct{})}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for i := range o.zones {
		for j := node.NoZone; j < o.zones; j++ {
			port := devPort(o.kafkaPort, i, j)
			ln, err := listenLocal(port)
			if err != nil {
				return nil, portError(err, port, fmt.Sprintf("--kafka-port (now %d; dev uses ports up to 33 above it)", o.kafkaPort))
			}
			p.kafka[[2]int{i, j}] = &lateListener{Listener: ln, ready: p.ready, closed: make(chan struct{})}
		}
	}
	if p.http, err = listenLocal(o.httpPort); err != nil {
		return nil, portError(err, o.httpPort, "--http-port")
	}
	return p, nil
}

func listenLocal(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// listenerFunc is node.Config.Listen of broker i. A zone that the cluster remembers but
// that does not run now has no listener.
func (p *devPorts) listenerFunc(i int) func(metadata.ZoneID, int) (net.Listener, error) {
	return func(zone metadata.ZoneID, k int) (net.Listener, error) {
		j := node.NoZone
		for z := range maxDevZones {
			if k != node.NoZone && zone == devZone(z) {
				j = z
			}
		}
		if k != node.NoZone && j == node.NoZone {
			return nil, nil
		}
		if ln := p.kafka[[2]int{i, j}]; ln != nil {
			return ln, nil
		}
		return nil, nil
	}
}

func (p *devPorts) close() {
	for _, ln := range p.kafka {
		_ = ln.Close() // those that a node took are closed already
	}
	if p.http != nil {
		_ = p.http.Close()
	}
}

// printAddresses prints where everything is.
func (d *devCluster) printAddresses(w io.Writer) {
	fmt.Fprintf(w, "zonewise %s is serving %d zones\n", fullVersion(), d.o.zones)
	for i := range d.o.zones {
		fmt.Fprintf(w, "  %-11s bootstrap 127.0.0.1:%d\n", devZone(i), devPort(d.o.kafkaPort, i, i))
	}
	fmt.Fprintf(w, "  %-11s bootstrap 127.0.0.1:%d (for clients that carry a tag or a rack, or have no zone)\n", "any zone", devPort(d.o.kafkaPort, 0, node.NoZone))
	fmt.Fprintf(w, "  page        http://127.0.0.1:%d/\n", d.o.httpPort)
	fmt.Fprintf(w, "  data        %s\n", d.o.dataDir)
}

// newHandler serves the page of the first live broker, every broker's own below
// its zone's name, and reports ready once all are.
func (d *devCluster) newHandler(perNode []http.Handler) http.Handler {
	mux := http.NewServeMux()
	for i, h := range perNode {
		prefix := "/" + string(devZone(i))
		mux.Handle(prefix+"/", http.StripPrefix(prefix, h))
	}
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		for i, n := range d.nodes {
			if err := n.Ready(); err != nil {
				http.Error(w, fmt.Sprintf("%s: %v", devZone(i), err), http.StatusServiceUnavailable)
				return
			}
		}
		_, _ = io.WriteString(w, "ok\n") // the reader is gone
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		for i, n := range d.nodes {
			if n.Ready() == nil {
				perNode[i].ServeHTTP(w, r)
				return
			}
		}
		perNode[0].ServeHTTP(w, r)
	})
	return mux
}

// devLogger adds the zone to each line.
func devLogger(l *slog.Logger, i int) *slog.Logger { return l.With("zone", devZone(i)) }
