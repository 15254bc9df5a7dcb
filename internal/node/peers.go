package node

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// DeadPeers are the brokers with a session that this broker considers dead:
// their connection broke, or they do not respond.
func (n *Node) DeadPeers() map[metadata.BrokerID]bool {
	dead := map[metadata.BrokerID]bool{}
	n.replica.View(func(s *metadata.State) {
		for _, o := range s.Sessions() {
			if n.prober != nil && !n.prober.Healthy(o.Broker) || n.liveness != nil && !n.liveness.isAlive(o.Broker) {
				dead[o.Broker] = true
			}
		}
	})
	return dead
}

// zoneResolver resolves clients' zones by the newest resolver: it depends on
// the cluster's zones, which may be added at run time.
type zoneResolver struct {
	cfg     *Config
	current atomic.Pointer[router.Resolver]
}

func newZoneResolver(cfg *Config) *zoneResolver {
	p := &zoneResolver{cfg: cfg}
	p.setZones(nil)
	return p
}

func (p *zoneResolver) setZones(zones []metadata.ZoneID) {
	p.current.Store(router.NewResolver(zones, p.cfg.ZoneNames, p.cfg.CIDRs))
}

// Resolve implements broker.Resolver.
func (p *zoneResolver) Resolve(c router.Client) router.Evidence { return p.current.Load().Resolve(c) }

// Brokers of other zones are probed too, because any broker may list the
// leaders of a zone whose only broker has just died; but five times less often,
// since those probes cross zones, and only in small clusters.
const (
	farProbeRounds = 5
	maxFarPeers    = 32
)

// newProber returns the prober of the other brokers, or nil where there is no
// broker-to-broker interface.
func (n *Node) newProber() *router.Prober {
	if n.cfg.Peers == nil {
		return nil
	}
	far := &farProbes{last: map[metadata.BrokerID]farProbe{}, send: func(ctx context.Context, p router.Peer) error {
		err := n.cfg.Peers.Probe(ctx, p.Addr)
		n.refusals.record(p.ID, err)
		return err
	}}
	return router.NewProber(router.ProberConfig{Seed: n.cfg.Rand.Uint64(),
		Peers: func() (peers []router.Peer) {
			far.round++
			far.near = map[metadata.BrokerID]bool{}
			n.replica.View(func(s *metadata.State) {
				view := router.NewView(s)
				peers = view.Peers(n.brokerID(), n.cfg.Zone)
				for _, p := range peers {
					far.near[p.ID] = true
				}
				for _, z := range s.Zones() {
					if z != n.cfg.Zone && len(s.Sessions()) <= maxFarPeers {
						peers = append(peers, view.Peers(n.brokerID(), z)...)
					}
				}
			})
			return peers
		},
		Probe: far.probePeer,
		Changed: func(p router.Peer, alive bool, err error) {
			n.cfg.Logger.Info("peer", "broker", p.ID, "alive", alive, "err", err)
		}})
}

// farProbes reduces probes between zones: a result is reused for some rounds.
// The prober's goroutine writes round and near between its rounds.
type farProbes struct {
	send  func(ctx context.Context, p router.Peer) error
	round int
	near  map[metadata.BrokerID]bool

	mu   sync.Mutex
	last map[metadata.BrokerID]farProbe
}

type farProbe struct {
	addr  string
	round int
	err   error
}

func (f *farProbes) probePeer(ctx context.Context, p router.Peer) error {
	if f.near[p.ID] {
		return f.send(ctx, p)
	}
	f.mu.Lock()
	last, known := f.last[p.ID]
	f.mu.Unlock()
	if known && last.addr == p.Addr && last.err == nil && f.round-last.round < farProbeRounds {
		return nil
	}
	err := f.send(ctx, p)
	f.mu.Lock()
	f.last[p.ID] = farProbe{p.Addr, f.round, err}
	f.mu.Unlock()
	return err
}

// zoneBytes sums what the cluster's clients of a zone sent and received over
// the last two hours.
func (n *Node) zoneBytes(zone metadata.ZoneID) (in, out uint64) {
	s := n.replica.Snapshot()
	for _, c := range s.Ledger(s.Time()-metadata.LedgerMinutesFor, s.Time()+1).Cells {
		if !c.Key.Component.IsClientTransfer() {
			continue
		}
		if c.Key.Src == zone {
			in += c.Quantity.Lo
		}
		if c.Key.Dst == zone {
			out += c.Quantity.Lo
		}
	}
	return in, out
}
