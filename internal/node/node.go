package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/broker"
	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/internal/garbage"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/s3stream/hedge"
	"github.com/zonewise/zonewise/wal"
)

// Node is one running broker.
type Node struct {
	cfg    Config
	ctx    context.Context // ends with Close; carries the observer of bucket requests
	cancel context.CancelFunc
	wg     sync.WaitGroup

	replica  *metadata.Replica
	bucket   *hedge.Bucket // the bucket, below this cluster's prefix
	store    *s3stream.Store
	server   *broker.Server
	groups   *groups.Coordinator
	governor *metadata.Governor
	writer   sessionWriter
	platform platformMeter
	traffic  traffic
	limits   limitMonitor
	// durations are the histograms of all sessions' WALs.
	durations    *walDurations
	zoneResolver *zoneResolver
	prober       *router.Prober // nil without a broker-to-broker interface
	refusals     refusals
	liveness     *livenessMonitor // nil where PeerClient is no LivenessPeer

	currentSession atomic.Pointer[session] // between sessions: nil
	openListeners  atomic.Int64            // listeners for zones, in the order of the cluster's zones
	sessionOpened  chan struct{}           // capacity 1: a session was opened
	draining       atomic.Bool
	fatal          sync.Once
	health         atomic.Pointer[metadata.StoreHealth]
	jobs           atomic.Pointer[metadata.Maintenance] // of the newest session
	garbage        garbage.Stats
}

// Start starts a broker. It returns at once; Ready reports whether it serves.
func Start(cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, governor: metadata.NewGovernor(cfg.Rates), sessionOpened: make(chan struct{}, 1)}
	for _, a := range cfg.StartRequests {
		n.platform.countAttempt(a)
	}
	n.zoneResolver = newZoneResolver(&n.cfg)
	n.writer.handover = newHandover(n)
	ctx, cancel := context.WithCancel(context.Background())
	n.ctx, n.cancel = bucket.WithObserver(ctx, n.platform.countAttempt), cancel
	n.bucket = hedge.NewBucket(bucket.Prefix(observedBucket{cfg.Bucket, requestMetrics(cfg.Metrics)}, cfg.Cluster+"/"), hedge.Config{MaxHedges: maxGetHedges})
	applySeconds := newApplySeconds(cfg.Metrics)
	replica := metadata.ReplicaConfig{Log: cfg.Log, Store: logStore{n.bucket}, Logger: cfg.Logger, Fatal: n.stopServing, Limits: cfg.Limits,
		OnApply: func(d time.Duration) { applySeconds.Observe(d.Seconds()) }}
	replica.SetHooks(cfg.hooks)
	n.replica = metadata.NewReplica(replica)
	if l, ok := cfg.Log.(interface{ UseApplied(metadata.Applied) }); ok {
		l.UseApplied(n.replica)
	}
	if err := n.buildComponents(n.bucket); err != nil {
		cancel()
		return nil, err
	}
	if err := n.openListener(metadata.UnknownZone, NoZone); err != nil {
		n.Close()
		return nil, err
	}
	n.registerMetrics()
	n.durations = newWALDurations(cfg.Metrics)
	n.replica.Observe(n.noteSession)
	n.replica.Observe(n.noteTraffic)
	n.wg.Go(func() {
		if err := n.replica.Run(n.ctx); err != nil {
			if errors.Is(err, metadata.ErrLevel) {
				err = fmt.Errorf("this broker of version %s cannot serve the cluster: %w", n.cfg.Version, err)
			}
			n.stopServing(err)
		}
	})
	n.wg.Go(n.runSessions)
	n.wg.Go(n.followClusterState)
	n.wg.Go(n.watchLimits)
	if n.prober != nil {
		n.wg.Go(func() { n.prober.Run(n.ctx) })
	}
	if n.liveness != nil {
		n.wg.Go(func() { n.liveness.run(n.ctx) })
	}
	return n, nil
}

// newRand derives a source of randomness, so that components do not share one.
func (n *Node) newRand() *rand.Rand {
	return rand.New(rand.NewPCG(n.cfg.Rand.Uint64(), n.cfg.Rand.Uint64()))
}

func (n *Node) buildComponents(objects bucket.Bucket) error {
	cfg := &n.cfg
	var err error
	stored := s3stream.Config{Bucket: objects, Replica: n.replica, TailBytes: cfg.TailBytes, BlockBytes: cfg.BlockBytes,
		Decompress: broker.Decompress, Logger: cfg.Logger, Metrics: n.storeMetrics()}
	stored.SetHooks(cfg.hooks)
	if err := stored.Validate(); err != nil {
		return err
	}
	n.store = s3stream.NewStore(stored)
	delay := cfg.RebalanceDelay
	if delay == 0 {
		delay = -1
	}
	g := cfg.Groups
	g.InitialRebalanceDelay = delay
	settings := g
	g.Writer, g.Replica, g.Log, g.Rand, g.Clock = &n.writer, n.replica, cfg.Logger, n.newRand(), cfg.Clock
	n.groups, err = groups.Open(g)
	if err != nil {
		return fmt.Errorf("open group coordinator: %w", err)
	}
	b := broker.DefaultConfig()
	b.Zone, b.Self = cfg.Zone, n.brokerID
	b.Replica, b.Writer, b.Reader, b.Groups = n.replica, &n.writer, n.store, n.groups
	b.GroupSettings = settings
	b.Resolver = n.zoneResolver
	if n.prober = n.newProber(); n.prober != nil {
		b.Healthy = n.prober.Healthy
	}
	if n.liveness = n.newLivenessMonitor(); n.liveness != nil {
		b.MetadataDelay = livenessDelay
		b.Healthy = func(id metadata.BrokerID) bool { return n.prober.Healthy(id) && n.liveness.isAlive(id) }
	}
	b.KeepTopics, b.CheckReplication = cfg.KeepTopics, cfg.CheckReplication
	b.RetentionCheck = cfg.Times.RetentionCheck
	b.AutoCreate, b.DefaultPartitions, b.OffsetsPartitions = cfg.AutoCreate, cfg.DefaultPartitions, cfg.OffsetsPartitions
	b.Rand, b.Log, b.Metrics, b.LogLevel, b.Clock = n.newRand(), cfg.Logger, cfg.Metrics, cfg.LogLevel, cfg.Clock
	if n.server, err = broker.Open(b); err != nil {
		return fmt.Errorf("open kafka server: %w", err)
	}
	return nil
}

// brokerID is this broker's id, or NoBroker between sessions.
func (n *Node) brokerID() metadata.BrokerID {
	if s := n.currentSession.Load(); s != nil {
		return s.broker
	}
	return metadata.NoBroker
}

func (n *Node) stopServing(err error) {
	n.fatal.Do(func() {
		n.cfg.Logger.Error("FATAL: this broker stops serving", "err", err)
		n.cfg.Fatal(err)
	})
}

func (n *Node) openListener(zone metadata.ZoneID, k int) error {
	ln, err := n.cfg.Listen(zone, k)
	if err != nil {
		return fmt.Errorf("listen for clients of zone %q: %w", zone, err)
	}
	if ln == nil {
		return nil
	}
	return n.server.AddListener(zone, ln)
}

// zonesInterval is how often the cluster's zones and pressure are checked, in
// addition to when a session opens.
const zonesInterval = time.Second

// noteSession wakes followClusterState when a session opens: it may bring a zone.
func (n *Node) noteSession(a *metadata.AppliedEntry) {
	if a.Entry == nil || a.Entry.Lane != metadata.LaneControl || a.Entry.Seq != 1 {
		return
	}
	select {
	case n.sessionOpened <- struct{}{}:
	default:
	}
}

// followClusterState opens a listener for each zone of the cluster as it appears, and
// sets how many brokers share the log in the governor.
func (n *Node) followClusterState() {
	for {
		var zones []metadata.ZoneID
		sessions := 0
		var pressure metadata.PressureLevel
		n.replica.View(func(s *metadata.State) { zones, sessions, pressure = s.Zones(), len(s.Sessions()), s.Pressure() })
		n.governor.SetSessions(sessions)
		n.governor.AllowInline(pressure == metadata.PressureNone && n.replica.UnarchivedBytes() < maxUnarchived)
		n.writer.storeFull.Store(pressure >= metadata.PressureNoAppends)
		k := int(n.openListeners.Load())
		if k < len(zones) {
			n.zoneResolver.setZones(zones)
		}
		for ; k < len(zones) && !n.draining.Load(); k++ {
			if err := n.openListener(zones[k], k); err != nil {
				n.stopServing(err)
				return
			}
			n.openListeners.Store(int64(k + 1))
		}
		select {
		case <-n.sessionOpened:
		case <-time.After(zonesInterval):
		case <-n.ctx.Done():
			return
		}
	}
}

// maxGetHedges is how many hedged GETs are in flight.
const maxGetHedges = 8

// maxUnarchived is how many inline bytes may wait for their archive in memory
// before no more go inline.
const maxUnarchived = 128 << 20

// Replica returns the node's replica.
func (n *Node) Replica() *metadata.Replica { return n.replica }

// Broker returns this broker's id, or NoBroker between sessions.
func (n *Node) Broker() metadata.BrokerID { return n.brokerID() }

// Ready returns nil when the broker serves: its session is live, it has caught
// up, it listens for every zone, it does not drain, and the groups in the slots
// assigned to it have a coordinator.
func (n *Node) Ready() error {
	if err := n.checkServing(); err != nil {
		return err
	}
	if err := n.refusedByAll(); err != nil {
		return err
	}
	if s := n.currentSession.Load(); s != nil && n.mayTakeGroups() && !s.slots.Settled() {
		return errors.New("acquiring this broker's group slots")
	}
	return nil
}

// mayTakeGroups reports whether the broker may begin to claim groups.
func (n *Node) mayTakeGroups() bool {
	select {
	case <-n.cfg.GroupsFrom:
		return true
	default:
		return n.cfg.GroupsFrom == nil
	}
}

// checkServing is Ready without regard to groups: clients may be sent here.
func (n *Node) checkServing() error {
	zones := 0
	n.replica.View(func(s *metadata.State) { zones = len(s.Zones()) })
	switch {
	case n.draining.Load():
		return errors.New("draining")
	case !n.replica.CaughtUp():
		return errors.New("catching up with the log")
	case n.currentSession.Load() == nil:
		return errors.New("no session")
	case int(n.openListeners.Load()) < zones:
		return errors.New("opening the listener of a new zone")
	}
	return nil
}

// WALStats returns the statistics of the present session's WAL; zero between
// sessions.
func (n *Node) WALStats() (s wal.Stats) {
	if w := n.writer.wal.Load(); w != nil {
		s = w.Stats()
	}
	return s
}

// Garbage returns what this broker's collectors of garbage have done.
func (n *Node) Garbage() garbage.Totals { return n.garbage.Totals() }

// GETStats returns the statistics of hedged GETs.
func (n *Node) GETStats() hedge.Stats { return n.bucket.Stats() }

// WaitReady waits until Ready.
func (n *Node) WaitReady(ctx context.Context) error { return n.waitUntil(ctx, n.Ready) }

// WaitGroups waits until every group has a coordinator, here or elsewhere.
func (n *Node) WaitGroups(ctx context.Context) error {
	return n.waitUntil(ctx, func() (err error) {
		n.replica.View(func(s *metadata.State) {
			for slot := range metadata.Slot(metadata.GroupSlots) {
				if _, held := groups.SlotOwner(s, slot); !held {
					err = fmt.Errorf("group slot %d has no broker", slot)
				}
			}
		})
		return err
	})
}

func (n *Node) waitUntil(ctx context.Context, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait until the broker is ready (%w): %w", err, ctx.Err())
		case <-n.ctx.Done():
			return errors.New("closed")
		}
	}
}

// Drain leaves the placement, disconnects clients, finishes what was accepted,
// and ends the session. Close follows.
func (n *Node) Drain(ctx context.Context) error {
	if n.draining.Swap(true) {
		return nil
	}
	s := n.currentSession.Load()
	if s == nil {
		return nil
	}
	if _, err := s.wal.Submit(ctx, []metadata.Command{metadata.DrainSession{}}, nil); err != nil {
		return fmt.Errorf("remove broker from the placement: %w", err)
	}
	err := errors.Join(n.server.Drain(ctx), s.wal.Drain(ctx))
	s.endAfterDrain(ctx)
	return err
}

// Close ends everything at once and waits for it. Batches that were not
// acknowledged are not.
func (n *Node) Close() {
	n.cancel()
	if n.server != nil {
		n.server.Close()
	}
	n.wg.Wait()
	if n.groups != nil {
		n.groups.Close()
	}
	if n.store != nil {
		n.store.Close()
	}
	n.bucket.Close()
}

// logStore sets the cause of the replica's and the maintenance's requests.
type logStore struct{ b bucket.Bucket }

func (s logStore) Put(ctx context.Context, key string, body []byte) error {
	return s.b.Put(bucket.WithCause(ctx, causeOf(key)), key, body)
}

func (s logStore) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	return s.b.Get(bucket.WithCause(ctx, causeOf(key)), key, off, length)
}

// listenByRule is the default rule: zone k of the cluster is at port + 1 + k.
func listenByRule(host string, port int, k int) (net.Listener, error) {
	if k != NoZone {
		port += 1 + k
	}
	return net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
}

// ListenByRule returns a Listen for real clusters: clients without a zone at
// port, those of the cluster's k-th zone at port + 1 + k.
func ListenByRule(host string, port int) func(metadata.ZoneID, int) (net.Listener, error) {
	return func(_ metadata.ZoneID, k int) (net.Listener, error) { return listenByRule(host, port, k) }
}
