package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/zonewise/zonewise/dashboards"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// ZoneClients are clients by their zone; the empty zone has those without
// evidence of one.
type ZoneClients map[metadata.ZoneID][]dashboards.Clients

// ClientCounter requests the clients that other brokers serve: a client talks
// to the brokers that lead its partitions, which need not be the one that shows
// the page.
type ClientCounter interface {
	Clients(ctx context.Context, broker metadata.BrokerID, peer string) (ZoneClients, error)
}

const (
	peerClientsPath = "/peer/v1/clients"
	// clientsTimeout is how long a page waits for other brokers to count.
	clientsTimeout = time.Second
	// maxClientRequests is how many of these requests are sent at the same
	// time.
	maxClientRequests = 16
)

// Clients counts the clients of this broker alone.
func (n *Node) Clients() ZoneClients {
	out := ZoneClients{}
	for _, c := range n.server.Clients().Snapshot() {
		row := dashboards.Clients{Evidence: c.Source.String()}
		if c.Alignment == router.Aligned {
			row.Aligned = uint64(c.Now)
		} else {
			row.Misaligned = uint64(c.Now)
		}
		out[c.Zone] = append(out[c.Zone], row)
	}
	return out
}

// clusterClients adds up the clients of all brokers. missing are the brokers
// that did not respond.
func (n *Node) clusterClients(ctx context.Context, sessions []metadata.SessionView) (all ZoneClients, missing []metadata.BrokerID) {
	ctx, cancel := context.WithTimeout(ctx, clientsTimeout)
	defer cancel()
	received := []ZoneClients{n.Clients()}
	var mu sync.Mutex // guards received and missing
	var wg sync.WaitGroup
	places := make(chan struct{}, maxClientRequests)
	for _, s := range sessions {
		if s.Broker == n.brokerID() {
			continue
		}
		places <- struct{}{} // released within clientsTimeout
		wg.Go(func() {
			defer func() { <-places }()
			of, err := n.fetchClients(ctx, s)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				n.cfg.Logger.Debug("could not count the clients of another broker", "broker", s.Broker, "err", err)
				missing = append(missing, s.Broker)
				return
			}
			received = append(received, of)
		})
	}
	wg.Wait()
	slices.Sort(missing)
	return sumClients(received), missing
}

func (n *Node) fetchClients(ctx context.Context, s metadata.SessionView) (ZoneClients, error) {
	if n.cfg.ClientCounter == nil {
		return nil, fmt.Errorf("count clients of broker %d: there is no connection to other brokers", s.Broker)
	}
	return n.cfg.ClientCounter.Clients(ctx, s.Broker, s.Open.Peer)
}

// sumClients adds up the clients of several brokers; of each zone one row by
// kind of evidence, the strongest kind first and unknown before all.
func sumClients(received []ZoneClients) ZoneClients {
	all := ZoneClients{}
	for _, of := range received {
		for zone, rows := range of {
			for _, r := range rows {
				all[zone] = addRow(all[zone], r)
			}
		}
	}
	for _, rows := range all {
		slices.SortFunc(rows, func(a, b dashboards.Clients) int {
			return cmp.Or(sourceRank(a.Evidence)-sourceRank(b.Evidence), cmp.Compare(a.Evidence, b.Evidence))
		})
	}
	return all
}

func addRow(rows []dashboards.Clients, r dashboards.Clients) []dashboards.Clients {
	for k := range rows {
		if rows[k].Evidence == r.Evidence {
			rows[k].Aligned += r.Aligned
			rows[k].Misaligned += r.Misaligned
			return rows
		}
	}
	return append(rows, r)
}

// sourceRank is the position of a kind of evidence in the order of kinds; a
// kind of a newer version comes last.
func sourceRank(name string) int {
	for s := range router.Sources {
		if s.String() == name {
			return int(s)
		}
	}
	return int(router.Sources)
}

// withClientZones are the cluster's zones and after them those that only
// clients are in.
func withClientZones(zones []metadata.ZoneID, clients ZoneClients) []metadata.ZoneID {
	all := slices.Clone(zones)
	for _, z := range slices.Sorted(maps.Keys(clients)) {
		if z != metadata.UnknownZone && !slices.Contains(zones, z) {
			all = append(all, z)
		}
	}
	return all
}

func (n *Node) servePeerClients(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(n.Clients()) // the caller is gone
}

// Clients implements ClientCounter.
func (p *HTTPPeers) Clients(ctx context.Context, _ metadata.BrokerID, peer string) (ZoneClients, error) {
	body, err := p.request(ctx, http.MethodGet, peer, peerClientsPath)
	if err != nil {
		return nil, err
	}
	var of ZoneClients
	if err := json.Unmarshal(body, &of); err != nil {
		return nil, fmt.Errorf("read clients of peer %s: %w", peer, err)
	}
	return of, nil
}
