package node

import (
	"context"
	"errors"
	"testing"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// fakePeers notes who was asked to drain what.
type fakePeers struct {
	asked []metadata.TopicPartition
	err   error
}

func (p *fakePeers) Probe(context.Context, string) error { return nil }
func (p *fakePeers) DrainPartition(_ context.Context, _ string, tp metadata.TopicPartition) error {
	p.asked = append(p.asked, tp)
	return p.err
}

// A partition whose hint moved here is drained at its old broker before the
// first batch without producer id, once; where that fails the risk is counted:
// promise 5.
func TestMovedPartitionIsHandedOverOnce(t *testing.T) {
	log, b := metadata.NewMemLog(), bucket.NewMem()
	first, _ := startNode(t, log, b, "a", 1)
	peers := &fakePeers{}
	second, _ := startNode(t, log, b, "a", 1)
	second.cfg.Peers = peers
	topic := metadata.TopicID{7}
	moved, stayed := 0, 0
	for p := range metadata.Partition(32) {
		tp := metadata.TopicPartition{Topic: topic, Partition: p}
		h := second.writer.moves
		var before *metadata.Placement
		second.replica.View(func(s *metadata.State) { before = s.Placement() })
		h.mu.Lock()
		h.previous, h.present, h.settled = placementOf(t, first), before, map[metadata.TopicPartition]*settling{}
		h.mu.Unlock()
		n := len(peers.asked)
		h.settle(t.Context(), tp)
		h.settle(t.Context(), tp)
		switch len(peers.asked) - n {
		case 1:
			moved++
		case 0:
			stayed++
		default:
			t.Fatalf("partition %d was drained %d times", p, len(peers.asked)-n)
		}
	}
	if moved == 0 || stayed == 0 {
		t.Fatalf("%d moved, %d stayed", moved, stayed)
	}
	if got := second.writer.wal.Load().Stats().OrderAtRisk; got != 0 {
		t.Fatalf("order at risk %d", got)
	}
	peers.err = errors.New("gone")
	h := second.writer.moves
	h.mu.Lock()
	h.settled = map[metadata.TopicPartition]*settling{}
	h.mu.Unlock()
	for p := range metadata.Partition(32) {
		h.settle(t.Context(), metadata.TopicPartition{Topic: topic, Partition: p})
	}
	if got := second.writer.wal.Load().Stats().OrderAtRisk; got != uint64(moved) {
		t.Fatalf("order at risk %d, want %d", got, moved)
	}
}

// placementOf is the placement in which the node was alone.
func placementOf(t *testing.T, n *Node) *metadata.Placement {
	t.Helper()
	s := metadata.NewState()
	e := &metadata.Entry{Level: 1, Session: 1, Seq: 1, Commands: []metadata.Command{n.openCommands()[0]}}
	b, err := metadata.AppendEntry(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := s.Apply(&metadata.Committed{Revision: 2, Generation: 1, Session: 1, Seq: 1, Bytes: b}); out.Code != metadata.CodeOK {
		t.Fatalf("%+v", out)
	}
	return s.Placement()
}
