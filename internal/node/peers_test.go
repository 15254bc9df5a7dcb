package node

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/router"
)

// countedPeers are the peers as one broker reaches them, and count its probes.
type countedPeers struct {
	*bubbleCluster
	mu     sync.Mutex
	probes map[string]int
	down   map[string]bool
}

func (p *countedPeers) Probe(_ context.Context, addr string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probes[addr]++
	if p.down[addr] {
		return errors.New("no answer")
	}
	return nil
}

func (p *countedPeers) take(addr string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.probes[addr]
	p.probes[addr] = 0
	return n
}

// A peer of another zone is probed every fifth round while it responds, and in
// every round while it does not: its death is detected within a second. The
// rounds are those of the broker's own prober.
func TestFarPeersAreProbedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, 0)
		defer c.close()
		c.start("near", "a")
		far := c.start("far", "b")
		requested := &countedPeers{bubbleCluster: c, probes: map[string]int{}, down: map[string]bool{}}
		c.config = func(cfg *Config) { cfg.Peers = requested }
		n := c.start("self", "a")
		const rounds = 100
		time.Sleep(time.Second)
		requested.take("near")
		requested.take("far")
		time.Sleep(rounds * router.ProbeEvery)
		if near, far := requested.take("near"), requested.take("far"); near != rounds || far != rounds/farProbeRounds {
			t.Errorf("in %d rounds the near peer was requested %d times, the far one %d times", rounds, near, far)
		}
		requested.mu.Lock()
		requested.down["far"] = true
		requested.mu.Unlock()
		// Once it is found out, in every round; and not healthy after ProbeMisses.
		time.Sleep((farProbeRounds + router.ProbeMisses) * router.ProbeEvery)
		if n.prober.Healthy(far.Broker()) {
			t.Error("a far peer that does not answer is healthy")
		}
		requested.take("far")
		time.Sleep(rounds * router.ProbeEvery)
		if got := requested.take("far"); got != rounds {
			t.Errorf("a far peer that does not answer was requested %d times in %d rounds", got, rounds)
		}
	})
}
