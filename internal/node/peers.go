package node

import (
	"context"
	"sync/atomic"

	"github.com/zonewise/zonewise/dashboards"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// placer finds clients' zones by the newest resolver: the cluster's zones are
// part of what it knows, and zones appear.
type placer struct {
	cfg     *Config
	present atomic.Pointer[router.Resolver]
}

func newPlacer(cfg *Config) *placer {
	p := &placer{cfg: cfg}
	p.learn(nil)
	return p
}

func (p *placer) learn(zones []metadata.ZoneID) {
	p.present.Store(router.NewResolver(zones, p.cfg.ZoneNames, p.cfg.CIDRs))
}

// Resolve implements broker.Resolver.
func (p *placer) Resolve(c router.Client) router.Evidence { return p.present.Load().Resolve(c) }

// newProber returns the prober of the other brokers in this zone, or nil
// where there is no peer door.
func (n *Node) newProber() *router.Prober {
	if n.cfg.Peers == nil {
		return nil
	}
	return router.NewProber(router.ProberConfig{Seed: n.cfg.Rand.Uint64(),
		Peers: func() (peers []router.Peer) {
			n.replica.View(func(s *metadata.State) { peers = router.Build(s, n.cfg.Cluster).Peers(n.self(), n.cfg.Zone) })
			return peers
		},
		Probe: func(ctx context.Context, p router.Peer) error { return n.cfg.Peers.Probe(ctx, p.Addr) },
		Changed: func(p router.Peer, alive bool, err error) {
			n.cfg.Logger.Info("peer", "broker", p.ID, "alive", alive, "error", err)
		}})
}

// clients returns the connections of a zone's clients, as this broker sees
// them, by kind of evidence.
func (n *Node) clients(zone metadata.ZoneID) (out []dashboards.Clients) {
	rows := map[router.Source]*dashboards.Clients{}
	var order []router.Source
	for _, c := range n.server.Clients().Snapshot() {
		if c.Zone != zone {
			continue
		}
		row := rows[c.Source]
		if row == nil {
			row = &dashboards.Clients{Evidence: c.Source.String()}
			rows[c.Source] = row
			order = append(order, c.Source)
		}
		if c.Alignment == router.Aligned {
			row.Aligned += uint64(c.Now)
		} else {
			row.Misaligned += uint64(c.Now)
		}
	}
	for _, s := range order {
		out = append(out, *rows[s])
	}
	return out
}

// zoneBytes sums what the cluster's clients of a zone sent and received over
// the last two hours.
func (n *Node) zoneBytes(zone metadata.ZoneID) (in, out uint64) {
	s := n.replica.Snapshot()
	for _, c := range s.Ledger(s.Time()-metadata.LedgerMinutesFor, s.Time()+1).Cells {
		if !clientBytes(c.Key.Component) {
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

func clientBytes(c metadata.Component) bool {
	switch c {
	case metadata.ComponentProduce, metadata.ComponentProduceReply, metadata.ComponentFetch, metadata.ComponentFetchReply,
		metadata.ComponentGroup, metadata.ComponentControl:
		return true
	}
	return false
}
