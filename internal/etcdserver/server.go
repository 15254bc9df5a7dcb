package etcdserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Settings of every member. They are limits that the rest counts on.
const (
	// DefaultQuotaBytes is the database's size at which etcd takes no more
	// writes; the log stops far below (60 %).
	DefaultQuotaBytes = 2 << 30
	// SnapshotCount and CatchUpEntries keep raft's log in memory small:
	// entries are up to 1 MiB, and etcd's own defaults would hold 10,000.
	SnapshotCount  = 1000
	CatchUpEntries = 500
	// MaxTxnOps: a guarded append compares up to 100 session keys.
	MaxTxnOps = 256
	// MaxRequestBytes: an entry of 1 MiB, its keys and guards, with room.
	MaxRequestBytes = 4 << 20
	// progressInterval is how often an idle watch receives its progress.
	progressInterval = time.Second
	// compactBatch revisions are compacted at a time, with compactPause
	// between, so that commits pass.
	compactBatch = 500
	compactPause = 5 * time.Millisecond
)

// TLS are files of one side's certificates. All empty: plain text.
type TLS struct {
	CertFile, KeyFile, CAFile string
}

func (t TLS) toTLSInfo() transport.TLSInfo {
	if t == (TLS{}) {
		return transport.TLSInfo{}
	}
	return transport.TLSInfo{CertFile: t.CertFile, KeyFile: t.KeyFile, TrustedCAFile: t.CAFile, ClientCertAuth: t.CAFile != ""}
}

// Config is one member.
type Config struct {
	Name string // of the member; cmd names it after its zone
	Dir  string // of its data
	// ClientURL and PeerURL are listened on: http://host:port, https://
	// with TLS, or unix://path (used in tests only). An empty PeerURL means
	// a single member, with a loopback port for itself. Port 0 of ClientURL
	// picks a free one.
	ClientURL, PeerURL string
	// AdvertiseClientURL and AdvertisePeerURL are published to others;
	// empty: the same.
	AdvertiseClientURL, AdvertisePeerURL string
	// InitialCluster is name=peerURL,... ; empty: this member alone.
	InitialCluster string
	// Existing joins a cluster that is there, after AddMember.
	Existing           bool
	Token              string // of the initial cluster; empty: zonewise
	QuotaBytes         int64
	ClientTLS, PeerTLS TLS
	UnsafeNoFsync      bool // tests only: loses data when the machine crashes
	HeartbeatMs        uint // default 100
	ElectionMs         uint // default 1000
	Logger             *slog.Logger
	StartTimeout       time.Duration // default 30 s: until the member is ready
	BackendBatchPeriod time.Duration // default etcd's 100 ms
}

// Member is a running etcd server.
type Member struct {
	etcd     *embed.Etcd
	endpoint string
	tls      *tls.Config
	stop     sync.Once // etcd's own Close may be called once
}

// Start starts the member and waits until it serves.
func Start(ctx context.Context, cfg Config) (*Member, error) {
	ec, err := cfg.toEmbedConfig()
	if err != nil {
		return nil, fmt.Errorf("start etcd member %s: %w", cfg.Name, err)
	}
	e, err := embed.StartEtcd(ec)
	if isDiskFull(err) {
		return nil, fmt.Errorf("start etcd member %s: disk of %s is full, free some space there: %w", cfg.Name, cfg.Dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("start etcd member %s in %s: %w", cfg.Name, cfg.Dir, err)
	}
	wait := cfg.StartTimeout
	if wait == 0 {
		wait = 30 * time.Second
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-e.Server.ReadyNotify():
	case err = <-e.Err():
	case <-e.Server.StopNotify():
		err = errors.New("it stopped while starting")
	case <-ctx.Done():
		err = ctx.Err()
	case <-t.C:
		err = fmt.Errorf("no leader after %v; are the other members of %q running?", wait, ec.InitialCluster)
	}
	if err != nil {
		e.Close()
		return nil, fmt.Errorf("start etcd member %s: %w", cfg.Name, err)
	}
	m := &Member{etcd: e, endpoint: clientEndpoint(e, ec)}
	if cfg.ClientTLS != (TLS{}) {
		if m.tls, err = cfg.ClientTLS.toTLSInfo().ClientConfig(); err != nil {
			e.Close()
			return nil, fmt.Errorf("start etcd member %s: client certificate: %w", cfg.Name, err)
		}
	}
	return m, nil
}

// clientEndpoint is where the member listens for clients, with the port it got.
func clientEndpoint(e *embed.Etcd, ec *embed.Config) string {
	u := ec.ListenClientUrls[0]
	if u.Scheme == "unix" || u.Scheme == "unixs" {
		return u.String()
	}
	return u.Scheme + "://" + e.Clients[0].Addr().String()
}

// toEmbedConfig turns the configuration into etcd's.
func (c Config) toEmbedConfig() (*embed.Config, error) {
	if c.Name == "" || c.Dir == "" || c.ClientURL == "" {
		return nil, errors.New("name, directory and client URL must be given")
	}
	ec := embed.NewConfig()
	ec.Name, ec.Dir = c.Name, c.Dir
	peer := c.PeerURL
	if peer == "" {
		if c.InitialCluster != "" {
			return nil, errors.New("a member of a cluster needs a peer URL")
		}
		peer = "http://127.0.0.1:0"
	}
	client, err := pickFreePort(c.ClientURL)
	if err != nil {
		return nil, err
	}
	for _, u := range []struct {
		to        *[]url.URL
		from, def string
	}{
		{&ec.ListenClientUrls, client, ""}, {&ec.AdvertiseClientUrls, c.AdvertiseClientURL, client},
		{&ec.ListenPeerUrls, peer, ""}, {&ec.AdvertisePeerUrls, c.AdvertisePeerURL, peer},
	} {
		s := u.from
		if s == "" {
			s = u.def
		}
		p, err := url.Parse(s)
		if err != nil || p.Scheme == "" {
			return nil, fmt.Errorf("URL %q: want http://host:port", s)
		}
		*u.to = []url.URL{*p}
	}
	ec.InitialClusterToken = "zonewise"
	if c.Token != "" {
		ec.InitialClusterToken = c.Token
	}
	ec.InitialCluster = c.InitialCluster
	if ec.InitialCluster == "" {
		ec.InitialCluster = c.Name + "=" + ec.AdvertisePeerUrls[0].String()
	}
	if c.Existing {
		ec.ClusterState = embed.ClusterStateFlagExisting
	}
	ec.QuotaBackendBytes = c.QuotaBytes
	if c.QuotaBytes == 0 {
		ec.QuotaBackendBytes = DefaultQuotaBytes
	}
	ec.SnapshotCount, ec.SnapshotCatchUpEntries = SnapshotCount, CatchUpEntries
	ec.MaxTxnOps, ec.MaxRequestBytes = MaxTxnOps, MaxRequestBytes
	ec.AutoCompactionMode, ec.AutoCompactionRetention = embed.CompactorModePeriodic, "0" // off: the archive role compacts
	ec.CompactionBatchLimit, ec.CompactionSleepInterval = compactBatch, compactPause
	ec.WatchProgressNotifyInterval = progressInterval
	if c.HeartbeatMs != 0 {
		ec.TickMs = c.HeartbeatMs
	}
	if c.ElectionMs != 0 {
		ec.ElectionMs = c.ElectionMs
	}
	if c.BackendBatchPeriod != 0 {
		ec.BackendBatchInterval = c.BackendBatchPeriod
	}
	ec.ClientTLSInfo, ec.PeerTLSInfo = c.ClientTLS.toTLSInfo(), c.PeerTLS.toTLSInfo()
	ec.UnsafeNoFsync = c.UnsafeNoFsync
	ec.EnableGRPCGateway = false
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapTo(c.Logger, newDiskFull(c.Dir)))
	return ec, nil
}

// pickFreePort replaces port 0 by a free one: members receive each other's
// client URLs, so it has to be known before the member listens.
func pickFreePort(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Port() != "0" {
		return s, nil // the error is reported where it is used
	}
	l, err := net.Listen("tcp", u.Host)
	if err != nil {
		return "", fmt.Errorf("pick a free port for %s: %w", s, err)
	}
	u.Host = l.Addr().String()
	return u.String(), l.Close()
}

// Name is the member's.
func (m *Member) Name() string { return m.etcd.Config().Name }

// Endpoint is where clients reach the member.
func (m *Member) Endpoint() string { return m.endpoint }

// Done receives an error that ended the member by itself.
func (m *Member) Done() <-chan error { return m.etcd.Err() }

// Client opens a client to this member. The caller closes it.
func (m *Member) Client() (*clientv3.Client, error) {
	return Dial([]string{m.endpoint}, m.tls)
}

// Times of a client's connection. A member that does not respond is detected by
// probes (etcdlog.Members): grpc-go accepts no keepAliveTime below ten seconds.
const (
	keepAliveTime     = 10 * time.Second
	keepAliveTimeout  = 3 * time.Second
	maxReconnectDelay = 3 * time.Second // at most from one try to the next; grpc's default is two minutes
	loginTimeout      = 2 * time.Second // of asking for a token, where there is a user
)

// Dial opens a client with the settings that etcdlog wants. It does not
// connect yet.
func Dial(endpoints []string, t *tls.Config) (*clientv3.Client, error) {
	return DialAs(endpoints, t, "", "")
}

// DialAs is Dial for an etcd with authentication.
func DialAs(endpoints []string, t *tls.Config, user, password string, more ...grpc.DialOption) (*clientv3.Client, error) {
	reconnect := backoff.DefaultConfig
	reconnect.BaseDelay, reconnect.MaxDelay = 100*time.Millisecond, maxReconnectDelay
	c, err := clientv3.New(clientv3.Config{
		Endpoints: endpoints, TLS: t, Username: user, Password: password,
		DialTimeout: loginTimeout, DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
		MaxCallSendMsgSize: MaxRequestBytes, RejectOldCluster: false, Logger: zap.NewNop(),
		DialOptions: append([]grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: maxReconnectDelay})}, more...),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd at %v: %w", endpoints, err)
	}
	return c, nil
}

// Stop stops the member and waits until it is gone. It may be called twice.
func (m *Member) Stop() { m.stop.Do(m.etcd.Close) }
