package groups

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// fixed is a replica of a state that does not change, and a writer that takes
// everything at once.
type fixed struct{ state *metadata.State }

func (f fixed) View(see func(*metadata.State)) { see(f.state) }
func (f fixed) Barrier(context.Context) error  { return nil }
func (f fixed) Submit(_ context.Context, cmds []metadata.Command, _ *metadata.Guard) (metadata.Outcome, error) {
	return metadata.Outcome{Commands: make([]metadata.CommandOutcome, len(cmds))}, nil
}

// One heartbeat of one of 5,000 members, the way through the group's
// goroutine included.
func BenchmarkHeartbeatOfLargeGroup(b *testing.B) {
	f := fixed{metadata.NewState()}
	c, err := Open(Config{Writer: f, Replica: f, Rand: rand.New(rand.NewPCG(1, 1)), InitialRebalanceDelay: time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	c.TakeOver(b.Context(), metadata.GroupSlot("g"), 1)
	g, _ := c.acquireGroup("g", true)
	defer c.releaseGroup(g)
	queryGroup(b.Context(), g, false, func(at time.Time) bool {
		m := g.classic
		for i := range 5000 {
			m.addMember(&classicGroupMember{id: fmt.Sprint("m", i), sessionTimeout: 10 * time.Second, protocols: []metadata.GroupProtocol{{Name: "x"}}, synced: true})
			m.restartSession(at, m.members[fmt.Sprint("m", i)])
		}
		m.state, m.protocol, m.leader = stateStable, "x", "m0"
		return true
	})
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group = "g"
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.MemberID = fmt.Sprint("m", i%5000)
		if code := c.Heartbeat(b.Context(), Client{}, r).ErrorCode; code != noError {
			b.Fatal(code)
		}
	}
}

// One heartbeat of one of 5,000 members of the consumer protocol.
func BenchmarkConsumerHeartbeatOfLargeGroup(b *testing.B) {
	f := fixed{metadata.NewState()}
	c, err := Open(Config{Writer: f, Replica: f, Rand: rand.New(rand.NewPCG(1, 1))})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	c.TakeOver(b.Context(), metadata.GroupSlot("g"), 1)
	g, _ := c.acquireGroup("g", true)
	defer c.releaseGroup(g)
	var epoch int32
	queryGroup(b.Context(), g, false, func(at time.Time) bool {
		r := newConsumerGroup("g", c.limits, c.readMemberTimeouts("g"), &fakeTopics{at: 0, topics: map[string]assignTopic{"t": {metadata.TopicID{1}, 5000}}})
		for i := range 5000 {
			p := &consumerGroupMember{info: metadata.ConsumerMember{ID: fmt.Sprint("m", i), Topics: []string{"t"}}, rebalanceTimeout: time.Minute}
			r.addMember(p)
			r.restartSession(at, p)
		}
		r.refreshTopics(at)
		r.updateTargets(at)
		for _, p := range r.members {
			r.reconcileMember(at, p, nil, true)
		}
		r.writeBuffer = newWriteBuffer()
		g.consumer, epoch = r, r.epoch
		return true
	})
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Version, r.Group, r.MemberEpoch, r.RebalanceTimeoutMillis = 1, "g", epoch, -1
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.MemberID = fmt.Sprint("m", i%5000)
		if out := c.ConsumerHeartbeat(b.Context(), Client{}, r); out.ErrorCode != noError {
			b.Fatal(out.ErrorCode, textOrEmpty(out.ErrorMessage))
		}
	}
}
