package node

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// When a process dies, its kernel closes its connections at once. So each
// broker keeps one idle request open to every other broker of the cluster. When
// it breaks, the peer is probed, and if it does not respond, hints skip it from
// then on. A client whose broker died requests the leaders from another one
// within milliseconds, and some clients then do not request them again for
// seconds, so the first response has to be right. Probes of the own zone
// (router) find what a broken connection does not show: a host that became
// silent.
const (
	peerLivenessPath = "/peer/v1/hold"
	// livenessRetry is the pause between probes of a peer that did not
	// respond.
	livenessRetry = 200 * time.Millisecond
	// livenessDelay is how much later than a client this broker may learn
	// that another one is gone: the latency across the region, and a busy
	// scheduler.
	livenessDelay = 25 * time.Millisecond
)

// LivenessPeer is an optional part of a PeerClient that detects at once that a
// peer is gone.
type LivenessPeer interface {
	// HoldConnection keeps a request open to the peer; held is called once
	// the peer has responded. It returns when the connection is gone.
	HoldConnection(ctx context.Context, addr string, held func()) error
}

// livenessMonitor keeps a request open to every other broker.
type livenessMonitor struct {
	client LivenessPeer
	probe  func(ctx context.Context, addr string) error
	peers  func() []router.Peer

	mu        sync.Mutex
	watched   map[router.Peer]context.CancelFunc
	dead      map[metadata.BrokerID]bool
	wg        sync.WaitGroup
	published atomic.Pointer[map[metadata.BrokerID]bool] // copy of dead; never changed once stored
}

func newMonitorOf(client LivenessPeer, probe func(context.Context, string) error, peers func() []router.Peer) *livenessMonitor {
	h := &livenessMonitor{client: client, probe: probe, peers: peers, watched: map[router.Peer]context.CancelFunc{}, dead: map[metadata.BrokerID]bool{}}
	h.published.Store(&map[metadata.BrokerID]bool{})
	return h
}

// newLivenessMonitor returns the node's monitor, or nil where PeerClient is nil
// or is no LivenessPeer.
func (n *Node) newLivenessMonitor() *livenessMonitor {
	client, ok := n.cfg.Peers.(LivenessPeer)
	if !ok {
		return nil
	}
	return newMonitorOf(client, n.cfg.Peers.Probe, func() (peers []router.Peer) {
		self := n.brokerID()
		n.replica.View(func(s *metadata.State) {
			for _, o := range s.Sessions() {
				if o.Broker != self {
					peers = append(peers, router.Peer{ID: o.Broker, Addr: o.Open.Peer})
				}
			}
		})
		return peers
	})
}

// isAlive reports whether a broker is not known to be gone.
func (h *livenessMonitor) isAlive(b metadata.BrokerID) bool { return !(*h.published.Load())[b] }

// run follows the list of peers until ctx ends.
func (h *livenessMonitor) run(ctx context.Context) {
	defer h.wg.Wait()
	for {
		h.updatePeers(ctx)
		select {
		case <-time.After(zonesInterval):
		case <-ctx.Done():
			return
		}
	}
}

func (h *livenessMonitor) updatePeers(ctx context.Context) {
	now, peers := map[router.Peer]bool{}, h.peers()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range peers {
		now[p] = true
		if h.watched[p] == nil && p.Addr != "" {
			pctx, cancel := context.WithCancel(ctx)
			h.watched[p] = cancel
			h.wg.Go(func() { h.watchPeer(pctx, p) })
		}
	}
	for p, cancel := range h.watched {
		if !now[p] {
			cancel()
			delete(h.watched, p)
			h.storeDead(p.ID, false)
		}
	}
}

// watchPeer keeps a connection to one peer until it is removed from the list of
// peers.
func (h *livenessMonitor) watchPeer(ctx context.Context, p router.Peer) {
	for ctx.Err() == nil {
		held := false
		_ = h.client.HoldConnection(ctx, p.Addr, func() { held = true; h.setDead(ctx, p, false) }) // why it broke does not matter: the peer is probed
		if held {
			h.setDead(ctx, p, true) // at once: clients request leaders before a probe has ended
		}
		for ctx.Err() == nil {
			err := h.probe(ctx, p.Addr)
			h.setDead(ctx, p, err != nil)
			if err == nil {
				break
			}
			select {
			case <-time.After(livenessRetry):
			case <-ctx.Done():
			}
		}
	}
}

func (h *livenessMonitor) setDead(ctx context.Context, p router.Peer, dead bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() == nil {
		h.storeDead(p.ID, dead)
	}
}

// storeDead is called with the mutex held.
func (h *livenessMonitor) storeDead(b metadata.BrokerID, dead bool) {
	if h.dead[b] == dead {
		return
	}
	next := map[metadata.BrokerID]bool{}
	for id, was := range h.dead {
		next[id] = was
	}
	next[b] = dead
	h.dead = next
	h.published.Store(&next)
}

// servePeerLiveness responds that this broker is alive and keeps the request
// open until either side ends it.
func (n *Node) servePeerLiveness(w http.ResponseWriter, r *http.Request) {
	if err := http.NewResponseController(w).Flush(); err != nil {
		return // the caller is gone
	}
	select {
	case <-r.Context().Done():
	case <-n.ctx.Done():
	}
}

// HoldConnection implements LivenessPeer.
func (p *HTTPPeers) HoldConnection(ctx context.Context, addr string, held func()) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Scheme+"://"+addr+peerLivenessPath, nil)
	if err != nil {
		return fmt.Errorf("liveness connection to peer %s: %w", addr, err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	resp, err := p.Client.Do(req)
	if err != nil {
		return fmt.Errorf("liveness connection to peer %s: %w", addr, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("liveness connection to peer %s: %s", addr, resp.Status)
	}
	held()
	_, err = bufio.NewReaderSize(resp.Body, 16).ReadByte() // nothing is sent: it ends with the connection
	return err
}
