package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/router"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// brokerMemory is the default of each memory limit of a broker.
const brokerMemory = 256 << 20

type brokerOptions struct {
	zone, cluster              string
	bucket                     string
	listen, advertise          string
	peer, http                 string
	httpEndpoint               httpEndpoint
	brokerID                   int
	cidrFile                   string
	zoneNames                  []string
	etcd                       etcdOptions
	peerTLS                    tlsOptions
	tune                       tuneOptions
	log                        logOptions
	value                      func(flag string) string // as text
	listenAt, advertiseAt      hostPort                 // of the above, parsed
	peerAt, httpAt             hostPort
	peerAdvertised, httpAdvert string
}

func brokerCommand() cli.Command {
	return cli.Command{
		Name:  "broker",
		Short: "Run one broker of a cluster",
		Long: `
A broker keeps nothing that can be lost: records go to the bucket, their order
to etcd. The first broker of an empty etcd and an empty bucket begins the
cluster. Brokers of one cluster share --cluster, --etcd and --bucket.

Kafka clients without a zone connect to the port of --listen; clients of the
cluster's k-th zone (k from 0, in the order in which zones appeared; zonewise
zones tells) to port + 1 + k, on every broker. Point the clients of a zone at
the brokers of that zone and at their zone's port.

SIGTERM drains: the broker leaves the placement, finishes what it took, hands
over and exits 0. A second signal ends it at once.`,
		Examples: []string{
			"zonewise broker --zone use1-az1 --etcd use1-az1=http://10.0.1.5:2379,use1-az2=http://10.0.2.5:2379 \\",
			"    --bucket s3://events --listen :9092 --advertise 10.0.1.7 --peer 10.0.1.7:9192 --http 10.0.1.7:8080",
			"zonewise broker --config /etc/zonewise/broker.yaml",
		},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &brokerOptions{value: s.Value}
			s.String(&o.zone, "zone", "", "ZONE", "where this broker stands: an availability zone's id, such as use1-az1 (required)")
			o.etcd.declareEtcd(s)
			s.String(&o.bucket, "bucket", "", "URL", bucketHelp+" (required)")
			s.String(&o.cluster, "cluster", "main", "NAME", "of the cluster, in etcd and in the bucket")
			s.String(&o.listen, "listen", ":9092", "HOST:PORT", "for Kafka clients without a zone; those of zone k at PORT + 1 + k")
			s.String(&o.advertise, "advertise", "", "HOST[:PORT]", "what clients are told to connect to; without it the host of --listen")
			s.String(&o.peer, "peer", ":9192", "HOST:PORT", "for other brokers")
			s.String(&o.http, "http", ":8080", "HOST:PORT", "for page, API, metrics, /healthz and /readyz")
			s.Int(&o.brokerID, "broker-id", int(metadata.NoBroker), "ID", "a fixed Kafka node id, refused while another live broker has it; -1: the lowest that is free")
			s.String(&o.cidrFile, "cidr-file", "", "FILE", "table of `zone cidr` lines that places clients by address")
			s.Strings(&o.zoneNames, "zone-names", "NAME=ID,...", "names of zones in this account that clients use in place of ids")
			o.peerTLS.declareTLS(s, "peer", "other brokers")
			o.httpEndpoint.declareEndpoint(s)
			o.tune.declareTune(s, brokerMemory)
			o.log.declareLog(s, "info")
			return func(ctx context.Context, env cli.Env) error { return runBroker(ctx, o, env) }
		},
	}
}

// hostPort is a parsed address; an empty host listens everywhere.
type hostPort struct {
	host string
	port int
}

func parseHostPort(flag, text string) (hostPort, error) {
	host, port, err := net.SplitHostPort(text)
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n < 1 || n > 65535 {
		return hostPort{}, cli.Usagef("--%s %q: want HOST:PORT", flag, text)
	}
	return hostPort{host, n}, nil
}

func (h hostPort) String() string { return net.JoinHostPort(h.host, strconv.Itoa(h.port)) }

func (h hostPort) isWildcard() bool {
	ip := net.ParseIP(h.host)
	return h.host == "" || ip != nil && ip.IsUnspecified()
}

// validate checks and parses the options.
func (o *brokerOptions) validate() (err error) {
	if o.zone == "" {
		return cli.Usagef("no --zone: set the zone of this broker")
	}
	for _, a := range []struct {
		flag, text string
		to         *hostPort
	}{{"listen", o.listen, &o.listenAt}, {"peer", o.peer, &o.peerAt}, {"http", o.http, &o.httpAt}} {
		if *a.to, err = parseHostPort(a.flag, a.text); err != nil {
			return err
		}
	}
	if o.listenAt.port+metadata.MaxZones > 65535 {
		return cli.Usagef("--listen %q: zone k has port %d + 1 + k; choose a port below %d", o.listen, o.listenAt.port, 65535-metadata.MaxZones)
	}
	switch {
	case o.advertise == "" && o.listenAt.isWildcard():
		return cli.Usagef("no --advertise: clients cannot connect to %q; say which host they reach this broker at", o.listen)
	case o.advertise == "":
		o.advertiseAt = o.listenAt
	default:
		o.advertiseAt = hostPort{o.advertise, o.listenAt.port}
		if _, _, err := net.SplitHostPort(o.advertise); err == nil {
			if o.advertiseAt, err = parseHostPort("advertise", o.advertise); err != nil {
				return err
			}
		}
	}
	reach := func(h hostPort) string {
		if h.isWildcard() {
			h.host = o.advertiseAt.host
		}
		return h.String()
	}
	o.peerAdvertised, o.httpAdvert = reach(o.peerAt), reach(o.httpAt)
	return o.tune.validate()
}

func runBroker(ctx context.Context, o *brokerOptions, env cli.Env) error {
	if err := o.validate(); err != nil {
		return err
	}
	logger, err := o.log.newLogger(env.Stderr)
	if err != nil {
		return err
	}
	files, err := o.loadFiles()
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	b := &brokerProcess{o: o, files: files, logger: logger, fatal: func(err error) { fail(err) }}
	defer b.shutdown()
	if err := b.start(ctx); err != nil {
		return err
	}
	defer limitMemory(logger, &o.tune, 1)()
	came, stop := notifyHangup()
	defer stop()
	b.runBackground(func(ctx context.Context) { watchTLS(ctx, logger, came, files.http.tls, files.peer, b.etcd.tls) })
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		b.node.Close()
		return cause
	}
	logger.Info("draining")
	if err := drainAll([]*node.Node{b.node}); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	logger.Info("drained")
	return nil
}

// brokerProcess is one broker with its listeners and clients. shut closes what
// it opens, the last first.
type brokerProcess struct {
	o       *brokerOptions
	files   *brokerFiles
	logger  *slog.Logger
	fatal   func(error)
	etcd    *etcdMembers
	node    *node.Node
	closers []func()
}

func (b *brokerProcess) onShutdown(f func()) { b.closers = append(b.closers, f) }

func (b *brokerProcess) shutdown() {
	if b.node != nil {
		b.node.Close()
	}
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
}

// runBackground runs f until shut.
func (b *brokerProcess) runBackground(f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f(ctx) })
	b.onShutdown(func() { cancel(); wg.Wait() })
}

func (b *brokerProcess) start(ctx context.Context) error {
	o := b.o
	cfg := node.DefaultConfig()
	cfg.Cluster, cfg.Zone, cfg.WantBrokerID, cfg.Version = o.cluster, metadata.ZoneID(o.zone), metadata.BrokerID(o.brokerID), fullVersion()
	cfg.Kafka = metadata.Address{Host: o.advertiseAt.host, Port: int32(o.advertiseAt.port)}
	cfg.Peer, cfg.HTTP = o.peerAdvertised, o.httpAdvert
	cfg.Listen = listenFunc(o.listenAt)
	cfg.Logger, cfg.Rand, cfg.Metrics, cfg.Fatal = b.logger, newRand(), prometheus.NewRegistry(), b.fatal
	cfg.LogLevel = o.log.levelVar
	peers, err := b.openPeer()
	if err != nil {
		return err
	}
	web, err := net.Listen("tcp", o.httpAt.String())
	if err != nil {
		return portError(err, o.httpAt.port, "--http")
	}
	b.onShutdown(func() { _ = web.Close() })
	cfg.ZoneNames, cfg.CIDRs = b.files.zoneNames, b.files.cidrs
	if err := b.openStores(ctx, &cfg); err != nil {
		return err
	}
	book := b.files.book
	log := cfg.Log.(*etcdlog.Log)
	top := &topology{zone: cfg.Zone, members: log.Members, usedZone: b.etcd.usedZone, zoneOf: memberZone, book: book, logger: b.logger}
	if err := top.refresh(ctx); err != nil {
		return err
	}
	b.runBackground(top.run)
	cfg.Route = top.route
	o.tune.apply(&cfg, top.inlineLimit)
	token, err := log.PeerToken(ctx)
	if err != nil {
		return err
	}
	if cfg.Settings, err = b.checkSettings(ctx, log); err != nil {
		return err
	}
	client := peers.newPeerClient(token)
	cfg.Peers, cfg.ClientCounter = client, client
	if b.node, err = node.Start(cfg); err != nil {
		return err
	}
	page, err := b.node.HTTPHandler(book, processMetrics())
	if err != nil {
		return err
	}
	guarded, handler := b.files.http.wrapServer(web, page)
	b.onShutdown(serveHTTP(guarded, handler, b.logger, b.fatal).stop)
	b.onShutdown(serveHTTP(peers.ln, b.node.PeerHandler(token, peers.isAuthenticated), b.logger, b.fatal).stop)
	return nil
}

// memberZone: `zonewise etcd` names a member after its zone, followed by '.'
// and a suffix where a zone has several.
func memberZone(name string) metadata.ZoneID {
	for i, c := range name {
		if c == '.' {
			return metadata.ZoneID(name[:i])
		}
	}
	return metadata.ZoneID(name)
}

// listenFunc opens the listeners by the plain rule, and names the flag where one
// is taken.
func listenFunc(at hostPort) func(metadata.ZoneID, int) (net.Listener, error) {
	rule := node.ListenByRule(at.host, at.port)
	return func(zone metadata.ZoneID, k int) (net.Listener, error) {
		ln, err := rule(zone, k)
		if err != nil {
			return nil, portError(err, at.port+1+k, "--listen (its port + 1 + k is for clients of zone k)")
		}
		return ln, nil
	}
}

// brokerFiles is what the files hold that a broker's options name.
type brokerFiles struct {
	http      httpGuard
	peer      *tlsFiles // nil: plain text
	zoneNames map[string]metadata.ZoneID
	cidrs     *router.CIDRTable
	book      *costmodel.Book
}

// loadFiles reads all files before anything is opened: a missing one must not cost a
// session, whose end other brokers would notice. Those of etcd are read by
// etcdOptions.dial, before it connects.
func (o *brokerOptions) loadFiles() (_ *brokerFiles, err error) {
	f := &brokerFiles{}
	if f.http, err = o.httpEndpoint.loadGuard(); err != nil {
		return nil, err
	}
	if f.peer, err = o.peerTLS.openFiles("peer"); err != nil {
		return nil, err
	}
	if f.peer != nil && (o.peerTLS.ca == "" || o.peerTLS.cert == "") {
		return nil, cli.Usagef("--peer-ca, --peer-cert and --peer-key must be given together: both sides present a certificate")
	}
	if f.zoneNames, err = parseZoneNames(o.zoneNames); err != nil {
		return nil, err
	}
	if f.cidrs, err = readCIDRs(o.cidrFile); err != nil {
		return nil, err
	}
	f.book, err = loadPriceBook(o.tune.priceBook)
	return f, err
}

// readCIDRs reads the table that places clients by address; without a file there
// is none.
func readCIDRs(path string) (*router.CIDRTable, error) {
	if path == "" {
		return nil, nil
	}
	f := flagFile{"cidr-file", path, "a file with lines of `zone cidr`"}
	text, err := f.readFile()
	if err != nil {
		return nil, err
	}
	t, err := router.ParseCIDRs(string(text))
	if err != nil {
		return nil, f.contentError(err)
	}
	return t, nil
}

// openStores opens etcd and the bucket, and refuses what cannot keep the
// promises.
func (b *brokerProcess) openStores(ctx context.Context, cfg *node.Config) error {
	var earlier startRequests
	ctx = bucket.WithObserver(ctx, earlier.addAttempt)
	etcd, err := b.o.etcd.openMembers(metadata.ZoneID(b.o.zone), b.logger)
	if err != nil {
		return err
	}
	b.etcd = etcd
	b.onShutdown(func() { _ = etcd.Close() })
	s, err := openBucket(ctx, b.o.bucket)
	if err != nil {
		return err
	}
	b.onShutdown(s.close)
	nonce := "start-" + newSecret()[:16]
	if err := bucket.Probe(ctx, s, nonce); err != nil {
		return err
	}
	if s.s3 != nil {
		if err := s.s3.SkipBodyHash(ctx, nonce); err != nil {
			b.logger.Info("object bodies are hashed for request signatures, which costs CPU time", "err", err)
		}
		if kept, err := s.s3.Versioning(ctx); err != nil {
			b.logger.Debug("whether the bucket keeps versions is not known", "err", err)
		} else if warning := kept.Warning(); warning != "" {
			b.logger.Warn(warning, "bucket", b.o.bucket)
		}
	}
	if err := etcd.checkMembers(ctx, b.o.cluster); err != nil {
		return err
	}
	if _, err := ensureCluster(ctx, etcd, b.o.cluster, s); err != nil {
		return err
	}
	log, err := etcdlog.Open(ctx, etcdlog.Config{Cluster: b.o.cluster, Client: etcd, Logger: b.logger, Rand: newRand(), MemberZone: memberZone})
	if err != nil {
		return err
	}
	b.onShutdown(log.Close)
	if err := recovery.CheckStart(ctx, log, bucket.Prefix(s, b.o.cluster+"/")); err != nil {
		return err
	}
	cfg.Log, cfg.Bucket, cfg.StartRequests = log, s, earlier.takeAttempts()
	return nil
}

// startRequests are the bucket requests of the start, before there is a node that
// counts them.
type startRequests struct {
	mu       sync.Mutex
	attempts []bucket.Attempt
}

func (a *startRequests) addAttempt(one bucket.Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts = append(a.attempts, one)
}

func (a *startRequests) takeAttempts() []bucket.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attempts
}

// peerEndpoint is the broker-to-broker interface, with mutual TLS where
// configured.
type peerEndpoint struct {
	ln  net.Listener
	tls *tlsFiles
}

func (b *brokerProcess) openPeer() (*peerEndpoint, error) {
	t := b.files.peer
	ln, err := net.Listen("tcp", b.o.peerAt.String())
	if err != nil {
		return nil, portError(err, b.o.peerAt.port, "--peer")
	}
	b.onShutdown(func() { _ = ln.Close() })
	p := &peerEndpoint{tls: t, ln: ln}
	if t != nil {
		p.ln = tls.NewListener(ln, t.serverConfig())
	}
	return p, nil
}

// isAuthenticated reports whether the transport has authenticated the caller.
func (p *peerEndpoint) isAuthenticated(r *http.Request) bool {
	return p.tls != nil && r.TLS != nil && len(r.TLS.VerifiedChains) > 0
}

func (p *peerEndpoint) newPeerClient(token string) *node.HTTPPeers {
	transport, scheme := &http.Transport{MaxIdleConnsPerHost: 8}, "http"
	if p.tls != nil {
		transport.DialTLSContext, scheme = p.tls.dialTLS, "https"
	}
	return &node.HTTPPeers{Client: &http.Client{Transport: transport}, Token: token, Scheme: scheme}
}
