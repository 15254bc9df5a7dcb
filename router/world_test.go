package router

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// cluster is a state with sessions.
type cluster struct {
	t     testing.TB
	state *metadata.State
	rev   metadata.Revision
	seqs  map[metadata.SessionID]metadata.LaneSeq
}

func newCluster(t testing.TB) *cluster {
	return &cluster{t: t, state: metadata.NewState(), rev: 10, seqs: map[metadata.SessionID]metadata.LaneSeq{}}
}

func (c *cluster) apply(s metadata.SessionID, cmd metadata.Command) metadata.CommandOutcome {
	c.rev++
	c.seqs[s]++
	b, err := metadata.AppendEntry(nil, &metadata.Entry{Level: 1, Session: s, Lane: metadata.LaneControl, Seq: c.seqs[s], Time: 1, Commands: []metadata.Command{cmd}})
	if err != nil {
		c.t.Fatal(err)
	}
	out, _ := c.state.Apply(&metadata.CommittedEntry{Revision: c.rev, Extent: 1, Session: s, Lane: metadata.LaneControl, Seq: c.seqs[s], Bytes: b})
	if out.Code != metadata.CodeOK || len(out.Commands) != 1 || out.Commands[0].Code != metadata.CodeOK {
		c.t.Fatalf("apply %T: %+v", cmd, out)
	}
	return out.Commands[0]
}

// open adds a broker and returns its session and id.
func (c *cluster) open(zone metadata.ZoneID, ports ...int32) (metadata.SessionID, metadata.BrokerID) {
	s := metadata.SessionID(c.rev + 1000)
	out := c.apply(s, metadata.OpenSession{Want: metadata.NoBroker, Zone: zone, Cluster: metadata.ClusterID{1}, Kafka: metadata.Address{Host: fmt.Sprintf("h%d", s), Port: 9092},
		ZonePorts: ports, Peer: fmt.Sprintf("h%d:9500", s), HTTP: "h:1", Version: "t", MinLevel: 1, MaxLevel: 1})
	return s, metadata.BrokerID(out.Value)
}

func partition(rng *rand.Rand) metadata.TopicPartition {
	var tp metadata.TopicPartition
	for i := range tp.Topic {
		tp.Topic[i] = byte(rng.Uint32())
	}
	tp.Partition = metadata.Partition(rng.IntN(100))
	return tp
}
