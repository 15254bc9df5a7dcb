package node

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/broker"
	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/wal"
)

// Log is the log as a node needs it (etcdlog.Log, metadata.MemLog).
type Log interface {
	metadata.Log
	metadata.LogAdmin
}

// NoZone is the index of the listener for clients without a zone.
const NoZone = -1

// Config configures a node.
type Config struct {
	Cluster      string
	Zone         metadata.ZoneID
	WantBrokerID metadata.BrokerID // NoBroker: any
	Version      string

	Log    Log
	Bucket bucket.Bucket // the whole bucket; objects go below "<cluster>/"
	// StartRequests are the requests that the process made of the bucket
	// before Start: they are billed like any other.
	StartRequests []bucket.Attempt

	// Kafka is the advertised address for clients without a zone; zone k of
	// the cluster is at its port + 1 + k, or at ZonePorts[k] where given.
	Kafka     metadata.Address
	ZonePorts []int32
	Peer      string // advertised host:port of the broker-to-broker interface
	HTTP      string // advertised host:port of pages and metrics
	// Listen opens the listener for clients of the cluster's k-th zone, or of
	// no zone (NoZone).
	Listen func(zone metadata.ZoneID, k int) (net.Listener, error)

	// Route returns the present zones of broker, etcd member, leader and
	// followers.
	Route func() metadata.Route
	// InlineLimit is the largest buffer, in bytes, that is cheaper inline
	// than as an object; nil: never inline.
	InlineLimit func() int
	Rates       metadata.Rates
	ZoneNames   map[string]metadata.ZoneID // names of zones in this account, with their ids
	CIDRs       *router.CIDRTable          // nil: addresses are no evidence of a zone
	// Peers reaches other brokers; nil where there is no broker-to-broker
	// interface.
	Peers PeerClient
	// Settings are published with the session: settings that should be the
	// same at all brokers, by name; nil: none.
	Settings map[string]string
	// ClientCounter requests the clients of other brokers; nil: the page
	// shows those of this broker, and lists the brokers that are missing.
	ClientCounter ClientCounter

	AutoCreate        bool
	KeepTopics        bool // deletion is refused
	CheckReplication  bool // more replicas than brokers are refused
	DefaultPartitions int32
	OffsetsPartitions int32 // of __consumer_offsets, which stays empty
	Linger            time.Duration
	WALBytes          int64 // not yet acknowledged; 0: default
	TailBytes         int64 // 0: default
	BlockBytes        int64 // 0: default
	RebalanceDelay    time.Duration
	Groups            groups.Config // settings of groups; interfaces and RebalanceDelay are filled in
	// GroupsFrom, where not nil, is closed when this broker may begin to
	// claim groups: brokers that start together need not pass them on to
	// each other.
	GroupsFrom <-chan struct{}

	Times         metadata.MaintenanceTimes
	UsageInterval time.Duration // how often read-side cells are committed
	Logger        *slog.Logger
	// LogLevel is Logger's least level, which clients may change; nil: fixed.
	LogLevel *slog.LevelVar
	Rand     *rand.Rand
	Clock    metadata.Clock // this broker's wall clock; nil: the system's
	Metrics  *prometheus.Registry
	// Fatal is called once when this broker must stop serving.
	Fatal func(error)
	// Limits, where not nil, replaces the state's limits: in tests. All brokers
	// of a cluster must have the same.
	Limits *metadata.Limits
	hooks  metadata.Hooks
}

// SetHooks sets the hooks of everything that the node is made from.
func (c *Config) SetHooks(h metadata.Hooks) { c.hooks = h }

// DefaultConfig returns a Config with the default settings and without
// interfaces.
func DefaultConfig() Config {
	b := broker.DefaultConfig()
	return Config{WantBrokerID: metadata.NoBroker, Rates: metadata.DefaultRates(), AutoCreate: b.AutoCreate, DefaultPartitions: b.DefaultPartitions, OffsetsPartitions: b.OffsetsPartitions,
		Linger: 100 * time.Millisecond, RebalanceDelay: 3 * time.Second, Times: metadata.DefaultMaintenanceTimes(), UsageInterval: 10 * time.Second}
}

// CacheBytes is the size of a broker's caches and unacknowledged batches when
// they are full.
func (c *Config) CacheBytes() int64 {
	or := func(n, def int64) int64 {
		if n == 0 {
			return def
		}
		return n
	}
	return or(c.WALBytes, wal.DefaultBudgetBytes) + or(c.TailBytes, s3stream.DefaultTailBytes) + or(c.BlockBytes, s3stream.DefaultBlockBytes)
}

// MemoryBytes is the most that a broker's caches and all its budgets take
// together, without its state and its connections.
func (c *Config) MemoryBytes() int64 {
	b := broker.DefaultConfig()
	return c.CacheBytes() + b.FrameBytes + b.RequestBytes + b.PollBytes + b.ResponseBytes
}

// Validate returns what is missing.
func (c *Config) Validate() error {
	switch {
	case c.Cluster == "":
		return errors.New("node: no cluster name")
	case c.Zone == metadata.UnknownZone:
		return errors.New("node: no zone: set the zone of this broker (--zone)")
	case c.Log == nil || c.Bucket == nil || c.Listen == nil:
		return errors.New("node: BUG: log, bucket and listen must be given")
	case c.Logger == nil || c.Rand == nil || c.Metrics == nil || c.Fatal == nil:
		return errors.New("node: BUG: logger, rand, metrics and fatal must be given")
	case c.Kafka.Host == "" || c.Kafka.Port <= 0:
		return fmt.Errorf("node: advertised address %s:%d", c.Kafka.Host, c.Kafka.Port)
	}
	return nil
}
