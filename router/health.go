package router

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Probing.
const (
	// ProbeTimeout is how long a peer in the zone may take to answer.
	ProbeTimeout = 200 * time.Millisecond
	// ProbeEvery is the time from one probe to the next.
	ProbeEvery = 200 * time.Millisecond
	// ProbeMisses is how many failed probes in a row make a peer dead.
	ProbeMisses = 3
)

// ErrRefused: the peer's host refused the connection. A probe may wrap it, or
// syscall.ECONNREFUSED: one such result is enough.
var ErrRefused = errors.New("connection refused")

// Peer is a broker to be probed.
type Peer struct {
	ID   metadata.BrokerID
	Addr string // host:port of its broker-to-broker interface
}

// ProberConfig configures a Prober.
type ProberConfig struct {
	// Peers returns the peers to probe now (View.Peers). Called once per
	// round.
	Peers func() []Peer
	// Probe sends a request to one peer; it must return when ctx ends.
	Probe func(ctx context.Context, p Peer) error
	// Seed of the phase, so that brokers do not probe at the same instants.
	Seed uint64
	// Changed, if not nil, is called when a peer dies or comes back, by the
	// goroutine of Run.
	Changed func(p Peer, alive bool, err error)
}

// Prober finds the peers that do not respond. Hints skip them; nothing else
// depends on it, and leader epochs do not move for it.
type Prober struct {
	config ProberConfig
	dead   atomic.Pointer[map[metadata.BrokerID]bool] // never changed once stored
	misses map[Peer]int                               // owned by Run
}

// NewProber returns a prober to which all peers are healthy until Run has found
// otherwise.
func NewProber(c ProberConfig) *Prober {
	p := &Prober{config: c, misses: map[Peer]int{}}
	p.dead.Store(&map[metadata.BrokerID]bool{})
	return p
}

// Healthy reports whether a broker is not known to be dead.
func (p *Prober) Healthy(b metadata.BrokerID) bool { return !(*p.dead.Load())[b] }

// Run probes until ctx ends.
func (p *Prober) Run(ctx context.Context) {
	rng := rand.New(rand.NewPCG(p.config.Seed, 0x70726f6265)) // "probe"
	wait := time.Duration(rng.Int64N(int64(ProbeEvery)))
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		begun := time.Now()
		p.probeRound(ctx)
		wait = max(ProbeEvery-time.Since(begun), time.Millisecond)
	}
}

// probeRound probes every peer once, all at the same time.
func (p *Prober) probeRound(ctx context.Context) {
	peers := p.config.Peers()
	errs := make([]error, len(peers))
	var wg sync.WaitGroup
	for i, peer := range peers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, ProbeTimeout)
			defer cancel()
			errs[i] = p.config.Probe(ctx, peer)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return // what failed now failed because we end
	}
	p.updateHealth(peers, errs)
}

func (p *Prober) updateHealth(peers []Peer, errs []error) {
	misses := make(map[Peer]int, len(peers)) // of peers that are still there
	dead := map[metadata.BrokerID]bool{}
	for i, peer := range peers {
		before := p.misses[peer]
		switch err := errs[i]; {
		case err == nil:
			misses[peer] = 0
		case errors.Is(err, ErrRefused), errors.Is(err, syscall.ECONNREFUSED):
			misses[peer] = ProbeMisses
		default:
			misses[peer] = min(before+1, ProbeMisses)
		}
		if misses[peer] >= ProbeMisses {
			dead[peer.ID] = true
		}
		if was, is := before >= ProbeMisses, misses[peer] >= ProbeMisses; was != is && p.config.Changed != nil {
			p.config.Changed(peer, !is, errs[i])
		}
	}
	p.misses = misses
	if !maps.Equal(dead, *p.dead.Load()) {
		p.dead.Store(&dead)
	}
}
