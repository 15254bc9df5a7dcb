package router

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// net is a network of peers whose behaviour changes.
type network struct {
	mu    sync.Mutex
	fate  map[metadata.BrokerID]func(context.Context) error
	peers []Peer
	log   []string
}

func (n *network) set(b metadata.BrokerID, f func(context.Context) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fate[b] = f
}

func (n *network) probe(ctx context.Context, p Peer) error {
	n.mu.Lock()
	f := n.fate[p.ID]
	n.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(ctx)
}

func silent(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func run(t *testing.T, n *network, f func(*Prober)) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProber(ProberConfig{Peers: func() []Peer { n.mu.Lock(); defer n.mu.Unlock(); return n.peers }, Probe: n.probe, Seed: 4,
			Changed: func(p Peer, alive bool, _ error) { n.log = append(n.log, fmt.Sprint(p.ID, alive)) }})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { p.Run(ctx) })
		f(p)
		cancel()
		wg.Wait()
	})
}

func TestAPeerIsDeadAfterThreeMissesOrOneRefusalAndComesBack(t *testing.T) {
	n := &network{fate: map[metadata.BrokerID]func(context.Context) error{}, peers: []Peer{{1, "a"}, {2, "b"}, {3, "c"}}}
	run(t, n, func(p *Prober) {
		time.Sleep(time.Second)
		if !p.Healthy(1) || !p.Healthy(2) || !p.Healthy(99) {
			t.Error("healthy peers are not")
		}
		n.set(1, silent)
		n.set(2, func(context.Context) error { return fmt.Errorf("dial: %w", syscall.ECONNREFUSED) })
		time.Sleep(401 * time.Millisecond) // two rounds at most
		if !p.Healthy(1) || p.Healthy(2) || !p.Healthy(3) {
			t.Error("after 400 ms: want the refusing one dead, the silent one not yet")
		}
		time.Sleep(600 * time.Millisecond)
		if p.Healthy(1) {
			t.Error("silent for a second and not dead")
		}
		n.set(1, nil)
		n.set(2, nil)
		time.Sleep(500 * time.Millisecond)
		if !p.Healthy(1) || !p.Healthy(2) {
			t.Error("came back and is not healthy")
		}
	})
	if want := "[2 false 1 false 1 true 2 true]"; fmt.Sprint(n.log) != want {
		t.Errorf("changes %v, want %s", n.log, want)
	}
}

func TestALostProbeOrTwoKillNobody(t *testing.T) {
	n := &network{fate: map[metadata.BrokerID]func(context.Context) error{}, peers: []Peer{{1, "a"}}}
	calls := 0
	n.set(1, func(context.Context) error {
		if calls++; calls%3 != 0 {
			return errors.New("lost")
		}
		return nil
	})
	run(t, n, func(p *Prober) {
		for range 100 {
			time.Sleep(70 * time.Millisecond)
			if !p.Healthy(1) {
				t.Fatal("dead after two misses")
			}
		}
	})
}

func TestAPeerThatLeftIsForgotten(t *testing.T) {
	n := &network{fate: map[metadata.BrokerID]func(context.Context) error{1: func(context.Context) error { return ErrRefused }}, peers: []Peer{{1, "a"}}}
	run(t, n, func(p *Prober) {
		time.Sleep(time.Second)
		if p.Healthy(1) {
			t.Error("refusing and healthy")
		}
		n.mu.Lock()
		n.peers = nil
		n.mu.Unlock()
		time.Sleep(time.Second)
		if !p.Healthy(1) {
			t.Error("the id is held against its next owner")
		}
	})
}
