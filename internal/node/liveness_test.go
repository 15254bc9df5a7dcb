package node

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// heldPeers is a network of peers that break and come back.
type heldPeers struct {
	mu    sync.Mutex
	alive map[string]chan struct{} // closed when the peer dies; nil: it is dead
}

func (f *heldPeers) state(addr string) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.alive[addr]
}

func (f *heldPeers) HoldConnection(ctx context.Context, addr string, held func()) error {
	died := f.state(addr)
	if died == nil {
		return errors.New("refused")
	}
	held()
	select {
	case <-died:
		return errors.New("broken")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *heldPeers) probe(_ context.Context, addr string) error {
	if f.state(addr) == nil {
		return errors.New("refused")
	}
	return nil
}

func (f *heldPeers) kill(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.alive[addr])
	f.alive[addr] = nil
}

func (f *heldPeers) start(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alive[addr] = make(chan struct{})
}

func TestAPeerWhoseConnectionBreaksIsSkippedAtOnceUntilItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &heldPeers{alive: map[string]chan struct{}{}}
		var mu sync.Mutex
		peers := []router.Peer{{ID: 1, Addr: "b"}, {ID: 2, Addr: "c"}}
		h := newMonitorOf(net, net.probe, func() []router.Peer { mu.Lock(); defer mu.Unlock(); return peers })
		net.start("b")
		net.start("c")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); h.run(ctx) }()
		synctest.Wait()
		check := func(when string, b metadata.BrokerID, want bool) {
			t.Helper()
			if got := h.isAlive(b); got != want {
				t.Errorf("%s: broker %d healthy is %v", when, b, got)
			}
		}
		check("at first", 1, true)
		net.kill("b")
		synctest.Wait() // no time passes
		check("its connection broke", 1, false)
		check("its connection broke", 2, true)
		net.start("b")
		time.Sleep(livenessRetry + zonesInterval)
		check("it answers again", 1, true)
		net.kill("b")
		synctest.Wait()
		mu.Lock()
		peers = peers[1:]
		mu.Unlock()
		time.Sleep(zonesInterval)
		check("its session is gone", 1, true) // nobody names it any more
		cancel()
		<-done
	})
}
