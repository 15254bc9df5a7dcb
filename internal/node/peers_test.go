package node

import (
	"context"
	"errors"
	"testing"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// A peer of another zone is asked every fifth round while it answers, and in
// every round while it does not: its death shows within a second.
func TestFarPeersAreProbedLessOften(t *testing.T) {
	asked := map[string]int{}
	var fail error
	f := &farProbes{near: map[metadata.BrokerID]bool{1: true}, last: map[metadata.BrokerID]farProbe{},
		ask: func(_ context.Context, addr string) error { asked[addr]++; return fail }}
	near, far := router.Peer{ID: 1, Addr: "near"}, router.Peer{ID: 2, Addr: "far"}
	run := func(rounds int) {
		for range rounds {
			f.round++
			f.probe(t.Context(), near)
			f.probe(t.Context(), far)
		}
	}
	run(20)
	if asked["near"] != 20 || asked["far"] != 4 {
		t.Fatalf("asked %v", asked)
	}
	fail = errors.New("down")
	run(10)
	if asked["far"] < 4+5 {
		t.Fatalf("a dead far peer was asked %d times in ten rounds", asked["far"]-4)
	}
}
