package groups

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A group goes to the consumer protocol and back while its members live.
func TestMigrationBothWays(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		old, other := n.consumer(""), n.consumer("")
		w.gatherConsumers(old, other)
		if len(old.partitions()) != 2 {
			t.Fatalf("classic assignment %v", old.partitions())
		}
		c := n.modern("c")
		rounds(t, 1, c)
		if d := n.consumerDescribe(); len(d.Members) != 3 || d.Epoch != 2 || n.listed() != "g consumer Reconciling consumer;" {
			t.Fatalf("%+v", d)
		}
		want(t, "classic heartbeat", old.heartbeat(), kerr.RebalanceInProgress.Code)
		for range 3 {
			for _, m := range []*consumer{old, other} {
				if m.heartbeat() == kerr.RebalanceInProgress.Code {
					m.own()
					want(t, "join again", m.join(), noError)
					want(t, "sync", m.sync(), noError)
				}
			}
			rounds(t, 1, c)
		}
		if n1, n2, n3 := len(old.partitions()), len(other.partitions()), len(c.has()); n1+n2+n3 != 4 || n1*n2*n3 == 0 {
			t.Fatalf("%v %v %v", old.partitions(), other.partitions(), c.has())
		}
		want(t, "classic heartbeat", old.heartbeat(), noError)
		want(t, "classic commit", old.commit(3), noError)
		if d := n.consumerDescribe(); d.State != "Stable" || d.Members[0].MemberType+d.Members[1].MemberType+d.Members[2].MemberType != 1 {
			t.Fatalf("%+v", d)
		}
		want(t, "the last one leaves", c.leave(-1), noError)
		time.Sleep(100 * time.Millisecond)
		want(t, "classic heartbeat", old.heartbeat(), kerr.RebalanceInProgress.Code)
		if l := n.listed(); l != "g classic PreparingRebalance consumer;" {
			t.Fatalf("list %q", l)
		}
		w.gatherConsumers(old, other)
		if len(old.partitions()) != 2 || n.describe("g").State != "Stable" {
			t.Fatalf("%v %+v", old.partitions(), n.describe("g"))
		}
		// An empty group is of the protocol of who comes next.
		want(t, "leave", old.leave(), noError)
		want(t, "leave", other.leave(), noError)
		time.Sleep(100 * time.Millisecond)
		c = n.modern("c")
		rounds(t, 1, c)
		if l := n.listed(); l != "g consumer Stable consumer;" {
			t.Fatalf("list %q", l)
		}
		want(t, "leave", c.leave(-1), noError)
		last := n.consumer("")
		w.gather(last)
		if l := n.listed(); l != "g classic Stable consumer;" {
			t.Fatalf("list %q", l)
		}
	})
}

// A cooperative member gives up only what it is told to: it joins with all it
// has, reads in SyncGroup what it may keep, and joins again with that.
func TestCooperativeMembersMigrateStepByStep(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		old := n.consumer("")
		w.gatherConsumers(old)
		c := n.modern("c")
		rounds(t, 1, c)
		for _, left := range []int{2, 2} {
			want(t, "heartbeat", old.heartbeat(), kerr.RebalanceInProgress.Code)
			old.own(old.partitions()...)
			want(t, "join", old.join(), noError)
			want(t, "sync", old.sync(), noError)
			if has := old.partitions(); len(has) != left {
				t.Fatalf("cooperative member has %v", has)
			}
			rounds(t, 1, c)
		}
		want(t, "heartbeat", old.heartbeat(), noError)
		if len(c.has()) != 2 {
			t.Fatalf("the other member has %v", c.has())
		}
		// And back: what became free is there after another join.
		want(t, "leave", c.leave(-1), noError)
		time.Sleep(100 * time.Millisecond)
		want(t, "heartbeat", old.heartbeat(), kerr.RebalanceInProgress.Code)
	})
}

// partitions reads its assignment of t.
func (c *consumer) partitions() (out []int32) {
	a := kmsg.NewConsumerMemberAssignment()
	if err := a.ReadFrom(c.synced.MemberAssignment); err != nil {
		c.n.w.t.Fatal(err)
	}
	for _, t := range a.Topics {
		out = append(out, t.Partitions...)
	}
	return out
}

// own says in the next join what it still owns: cooperative members keep what
// they have, eager ones gave up everything.
func (c *consumer) own(partitions ...int32) {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics = 1, []string{"t"}
	if len(partitions) > 0 {
		meta.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: "t", Partitions: partitions}}
	}
	c.protocols[0].Metadata = meta.AppendTo(nil)
}

// gatherConsumers brings consumers through a rebalance whose leader assigns
// the partitions of t in turn.
func (w *world) gatherConsumers(cs ...*consumer) {
	w.t.Helper()
	fs := make([]func(), len(cs))
	for i, c := range cs {
		fs[i] = func() {
			if code := c.join(); code != noError {
				w.t.Errorf("consumer %d: join: %d", i, code)
				return
			}
			r := kmsg.NewPtrSyncGroupRequest()
			r.Version, r.Group, r.Generation, r.MemberID = 5, c.group, c.generation, c.id
			r.ProtocolType, r.Protocol = c.joined.ProtocolType, c.joined.Protocol
			for k, m := range c.joined.Members {
				a := kmsg.NewConsumerMemberAssignment()
				topic := kmsg.NewConsumerMemberAssignmentTopic()
				topic.Topic = "t"
				for p := k; p < 4; p += len(c.joined.Members) {
					topic.Partitions = append(topic.Partitions, int32(p))
				}
				a.Topics = append(a.Topics, topic)
				g := kmsg.NewSyncGroupRequestGroupAssignment()
				g.MemberID, g.MemberAssignment = m.MemberID, a.AppendTo(nil)
				r.GroupAssignment = append(r.GroupAssignment, g)
			}
			if c.synced = c.n.coord.Sync(c.ctx, Client{}, r); c.synced.ErrorCode != noError {
				w.t.Errorf("consumer %d: sync: %d", i, c.synced.ErrorCode)
			}
		}
	}
	together(fs...)
	if w.t.Failed() {
		w.t.FailNow()
	}
}
