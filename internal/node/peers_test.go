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

// countedPeers are the peers as one broker asks them.
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

// A peer of another zone is asked every fifth round while it answers, and in
// every round while it does not: its death shows within a second. The rounds are
// those of the broker's own prober.
func TestFarPeersAreProbedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, 0)
		defer c.close()
		c.start("near", "a")
		far := c.start("far", "b")
		asked := &countedPeers{bubbleCluster: c, probes: map[string]int{}, down: map[string]bool{}}
		c.config = func(cfg *Config) { cfg.Peers = asked }
		n := c.start("self", "a")
		const rounds = 100
		time.Sleep(time.Second)
		asked.take("near")
		asked.take("far")
		time.Sleep(rounds * router.ProbeEvery)
		if near, far := asked.take("near"), asked.take("far"); near != rounds || far != rounds/farProbeRounds {
			t.Errorf("in %d rounds the near peer was asked %d times, the far one %d times", rounds, near, far)
		}
		asked.mu.Lock()
		asked.down["far"] = true
		asked.mu.Unlock()
		// Once it is found out, in every round; and not healthy after ProbeMisses.
		time.Sleep((farProbeRounds + router.ProbeMisses) * router.ProbeEvery)
		if n.prober.Healthy(far.Broker()) {
			t.Error("a far peer that does not answer is healthy")
		}
		asked.take("far")
		time.Sleep(rounds * router.ProbeEvery)
		if got := asked.take("far"); got != rounds {
			t.Errorf("a far peer that does not answer was asked %d times in %d rounds", got, rounds)
		}
	})
}
