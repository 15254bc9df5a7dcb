package groups

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// modern is a member of the consumer protocol as its client sees it. It gives
// up and takes over partitions at once.
type modern struct {
	n        *node
	id       string
	instance *string
	names    []string
	regex    *string
	epoch    int32
	owned    []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic
	out      *kmsg.ConsumerGroupHeartbeatResponse
}

func (n *node) modern(id string) *modern { return &modern{n: n, id: id, names: []string{"t"}} }

func (c *modern) request() *kmsg.ConsumerGroupHeartbeatRequest {
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.MemberEpoch, r.InstanceID, r.RebalanceTimeoutMillis = 1, "g", c.id, c.epoch, c.instance, -1
	if c.epoch == 0 {
		r.RebalanceTimeoutMillis, r.SubscribedTopicNames, r.SubscribedTopicRegex = 60_000, c.names, c.regex
	}
	r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for _, t := range c.owned {
		r.Topics = append(r.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.TopicID, Partitions: t.Partitions})
	}
	return r
}

func (c *modern) send(r *kmsg.ConsumerGroupHeartbeatRequest) int16 {
	c.out = c.n.coord.ConsumerHeartbeat(context.Background(), Client{ID: "cl", Host: "/127.0.0.1"}, r)
	if c.out.ErrorCode == noError {
		c.epoch = c.out.MemberEpoch
		if c.out.Assignment != nil {
			c.owned = c.out.Assignment.Topics
		}
	}
	return c.out.ErrorCode
}

func (c *modern) beat() int16 { return c.send(c.request()) }

// leave leaves with epoch -1 or -2.
func (c *modern) leave(epoch int32) int16 {
	c.epoch = epoch
	code := c.beat()
	c.epoch, c.owned = 0, nil
	return code
}

// has lists the partitions of t that it was told to have.
func (c *modern) has() (out []int32) {
	for _, t := range c.owned {
		out = append(out, t.Partitions...)
	}
	return out
}

// rounds lets members beat in turn.
func rounds(t *testing.T, n int, cs ...*modern) {
	t.Helper()
	for range n {
		for _, c := range cs {
			if code := c.beat(); code != noError {
				t.Fatalf("beat of %s: %d %s", c.id, code, textOrEmpty(c.out.ErrorMessage))
			}
		}
	}
}

// commit commits under the member's epoch.
func (c *modern) commit(version int16, epoch int32) int16 {
	old := &consumer{n: c.n, group: "g", id: c.id, generation: epoch}
	r := old.commitRequest("t", 0, 7)
	r.Version = version
	return c.n.coord.CommitOffsets(context.Background(), Client{}, r).Topics[0].Partitions[0].ErrorCode
}

func (n *node) consumerDescribe() kmsg.ConsumerGroupDescribeResponseGroup {
	r := kmsg.NewPtrConsumerGroupDescribeRequest()
	r.Version, r.Groups = 1, []string{"g"}
	return n.coord.ConsumerDescribe(context.Background(), Client{}, r).Groups[0]
}

func (n *node) listed(types ...string) string {
	r := kmsg.NewPtrListGroupsRequest()
	r.Version, r.TypesFilter = 5, types
	out := ""
	for _, g := range n.coord.List(context.Background(), Client{}, r).Groups {
		out += fmt.Sprint(g.Group, " ", g.GroupType, " ", g.GroupState, " ", g.ProtocolType, ";")
	}
	return out
}

func TestConsumersShareMoveAndLeave(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b := n.modern("a"), n.modern("b")
		rounds(t, 1, a)
		if a.epoch != 2 || len(a.has()) != 4 || a.out.HeartbeatIntervalMillis != 5000 || *a.out.MemberID != "a" {
			t.Fatalf("first answer %+v", a.out)
		}
		rounds(t, 1, b)
		if b.epoch != 3 || len(b.has()) != 0 || b.out.Assignment == nil {
			t.Fatalf("second member, before anything is free: %+v", b.out)
		}
		if d := n.consumerDescribe(); d.State != "Reconciling" || d.Epoch != 3 || d.AssignmentEpoch != 3 || d.AssignorName != "uniform" || len(d.Members) != 2 ||
			d.Members[1].TargetAssignment.TopicPartitions[0].Topic != "t" || d.Members[0].MemberType != 1 {
			t.Fatalf("describe: %+v", d)
		}
		want(t, "commit at its epoch", a.commit(9, 2), noError)
		want(t, "commit at another", a.commit(9, 3), kerr.StaleMemberEpoch.Code)
		want(t, "commit by an old version", a.commit(8, 2), kerr.UnsupportedVersion.Code)
		want(t, "commit of a stranger", n.modern("x").commit(9, 1), kerr.UnknownMemberID.Code)
		rounds(t, 3, a, b)
		if len(a.has()) != 2 || len(b.has()) != 2 || a.epoch != 3 || slices.Contains(a.has(), b.has()[0]) {
			t.Fatalf("a %v, b %v, epoch %d", a.has(), b.has(), a.epoch)
		}
		if a.out.Assignment != nil && a.out.MemberEpoch != 3 {
			t.Errorf("quiet heartbeat: %+v", a.out)
		}
		if l := n.listed(); l != "g consumer Stable consumer;" || n.listed("classic") != "" || n.listed("CONSUMER") != l {
			t.Errorf("list %q, classic %q", l, n.listed("classic"))
		}
		if d := n.describe("g"); d.ErrorCode != kerr.GroupIDNotFound.Code || d.State != "Dead" {
			t.Errorf("classic describe: %+v", d)
		}
		for _, row := range []struct {
			id    *string
			epoch int32
			want  int16
		}{{nil, -1, noError}, {&a.id, 3, noError}, {&a.id, 2, kerr.StaleMemberEpoch.Code}, {new(string), 1, kerr.UnknownMemberID.Code}} {
			r := kmsg.NewPtrOffsetFetchRequest()
			r.Version, r.Groups = 9, []kmsg.OffsetFetchRequestGroup{{Group: "g", MemberID: row.id, MemberEpoch: row.epoch}}
			want(t, "fetch offsets", n.coord.FetchOffsets(context.Background(), Client{}, r).Groups[0].ErrorCode, row.want)
		}
		want(t, "leave", b.leave(-1), noError)
		want(t, "beat of who left", b.send(func() *kmsg.ConsumerGroupHeartbeatRequest { r := b.request(); r.MemberEpoch = 3; return r }()), kerr.UnknownMemberID.Code)
		rounds(t, 1, a)
		if len(a.has()) != 4 || a.epoch != 4 {
			t.Fatalf("alone: %v at %d", a.has(), a.epoch)
		}
		want(t, "delete with a member", n.coord.deleteGroup(context.Background(), "g", func() int16 { return noError }), kerr.NonEmptyGroup.Code)
		time.Sleep(46 * time.Second) // silent
		if l := n.listed(); l != "g consumer Empty consumer;" {
			t.Errorf("list %q", l)
		}
		want(t, "delete", n.coord.deleteGroup(context.Background(), "g", func() int16 { return noError }), noError)
		if l := n.listed(); l != "" {
			t.Errorf("list %q", l)
		}
		if d := n.consumerDescribe(); d.ErrorCode != kerr.GroupIDNotFound.Code {
			t.Errorf("describe: %+v", d)
		}
	})
}

// What a member has is described until it has given it up, and a group that
// nobody is left in has nothing to assign: both as by Kafka 4.4.
func TestDescribedIsWhatMembersStillHave(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b := n.modern("a"), n.modern("b")
		rounds(t, 1, a, b)
		want(t, "told to give up two", a.send(a.request()), noError)
		d := n.consumerDescribe()
		if got := d.Members[0].Assignment.TopicPartitions; len(got) != 1 || len(got[0].Partitions) != 4 {
			t.Errorf("while it revokes: %+v", got)
		}
		want(t, "leave", a.leave(-1), noError)
		want(t, "leave", b.leave(-1), noError)
		if d := n.consumerDescribe(); d.State != "Empty" || d.Epoch != 5 || d.AssignmentEpoch != d.Epoch {
			t.Errorf("empty: %+v", d)
		}
	})
}

func TestHeartbeatRefusalsOfTheConsumerProtocol(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.modern("a")
		rounds(t, 1, a)
		nothing, bad, long := "", "a(b", "x{1000}y{1000}z{1000}x{1000}y{1000}"
		for _, row := range []struct {
			name   string
			change func(r *kmsg.ConsumerGroupHeartbeatRequest)
			want   int16
		}{
			{"no group", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = "" }, kerr.InvalidRequest.Code},
			{"no id", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = "" }, kerr.InvalidRequest.Code},
			{"empty instance", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = &nothing }, kerr.InvalidRequest.Code},
			{"empty rack", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = &nothing }, kerr.InvalidRequest.Code},
			{"no rebalance timeout", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 }, kerr.InvalidRequest.Code},
			{"owns when it joins", func(r *kmsg.ConsumerGroupHeartbeatRequest) {
				r.Topics = make([]kmsg.ConsumerGroupHeartbeatRequestTopic, 1)
			}, kerr.InvalidRequest.Code},
			{"says nothing of what it owns", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil }, kerr.InvalidRequest.Code},
			{"no subscription", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil }, kerr.InvalidRequest.Code},
			{"epoch -3", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 }, kerr.InvalidRequest.Code},
			{"epoch -2 without instance", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -2 }, kerr.InvalidRequest.Code},
			{"assignor", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = &bad }, kerr.UnsupportedAssignor.Code},
			{"expression", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = &bad }, kerr.InvalidRegularExpression.Code},
			{"dear expression", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = &long }, kerr.InvalidRegularExpression.Code},
			{"unknown", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 1 }, kerr.UnknownMemberID.Code},
			{"leaves unknown", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -1 }, kerr.UnknownMemberID.Code},
			{"epoch ahead", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID, r.MemberEpoch = "a", 9 }, kerr.FencedMemberEpoch.Code},
			{"giant", func(r *kmsg.ConsumerGroupHeartbeatRequest) {
				r.SubscribedTopicNames = []string{string(make([]byte, 1<<20))}
			}, kerr.InvalidRequest.Code},
		} {
			c := n.modern("b")
			r := c.request()
			row.change(r)
			want(t, row.name, c.send(r), row.want)
		}
		r := a.request()
		r.Group = "unknown"
		for metadata.GroupSlot(r.Group) != metadata.GroupSlot("g") {
			r.Group += "x"
		}
		want(t, "no such group", a.send(r), kerr.GroupIDNotFound.Code)
		rounds(t, 1, a)
		if d := n.consumerDescribe(); len(d.Members) != 1 || d.Epoch != 2 {
			t.Errorf("refusals left something: %+v", d)
		}
		// Version 0: the coordinator makes ids.
		c := n.modern("")
		r = c.request()
		r.Version = 0
		if code := c.send(r); code != noError || len(*c.out.MemberID) != 36 {
			t.Errorf("version 0: %d %+v", code, c.out)
		}
	})
}

// The next holder of the slot goes on: same epochs, same partitions, and a
// move that was under way ends.
func TestTakeOverOfConsumersNeedsNoRebalance(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		a, b := n.modern("a"), n.modern("b")
		rounds(t, 3, a, b)
		c := n.modern("c")
		rounds(t, 1, c, a) // a is told to give one up, perhaps
		before := [][]int32{a.has(), b.has()}
		epochs := []int32{a.epoch, b.epoch}
		w.log.ExpireSession(n.session.ID())
		n.stop()
		m := w.start(2)
		defer m.stop()
		m.hold("g")
		a.n, b.n, c.n = m, m, m
		d := m.consumerDescribe()
		if d.Epoch != 4 || len(d.Members) != 3 || d.Members[0].MemberEpoch != epochs[0] || d.Members[1].MemberEpoch != epochs[1] {
			t.Fatalf("after the take-over: %+v", d)
		}
		rounds(t, 3, a, b, c)
		if len(a.has())+len(b.has())+len(c.has()) != 4 || len(c.has()) == 0 || m.consumerDescribe().State != "Stable" || a.epoch != 4 {
			t.Fatalf("a %v b %v c %v, before %v; %+v", a.has(), b.has(), c.has(), before, m.consumerDescribe())
		}
		time.Sleep(40 * time.Second)
		rounds(t, 1, a, b)
		time.Sleep(10 * time.Second) // c is silent for too long
		rounds(t, 1, a, b)
		if d := m.consumerDescribe(); len(d.Members) != 2 {
			t.Errorf("%+v", d)
		}
	})
}

func TestStaticConsumersKeepTheirPlace(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		i := "i"
		a, b := n.modern("a"), n.modern("b")
		a.instance = &i
		rounds(t, 4, a, b)
		had := a.has()
		thief := n.modern("thief")
		thief.instance = &i
		want(t, "instance in use", thief.beat(), kerr.UnreleasedInstanceID.Code)
		want(t, "goes, to be back", a.leave(-2), noError)
		rounds(t, 1, b)
		if len(b.has()) != 2 {
			t.Errorf("b got %v though a will be back", b.has())
		}
		again := n.modern("again")
		again.instance = &i
		rounds(t, 1, again)
		if !slices.Equal(again.has(), had) || again.epoch != b.epoch {
			t.Errorf("back with %v at %d, had %v", again.has(), again.epoch, had)
		}
		a.epoch = b.epoch
		want(t, "the old life", a.beat(), kerr.FencedInstanceID.Code)
		want(t, "goes again", again.leave(-2), noError)
		for range 5 {
			time.Sleep(10 * time.Second)
			rounds(t, 1, b)
		}
		if len(b.has()) != 4 {
			t.Errorf("b has %v after the instance's session ended", b.has())
		}
	})
}

// A member that does not give up what it must is out after its rebalance
// timeout.
func TestWhoDoesNotGiveUpIsExpelled(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b := n.modern("a"), n.modern("b")
		rounds(t, 1, a, b)
		stubborn := a.request()
		stubborn.MemberEpoch = 1
		for range 13 {
			time.Sleep(5 * time.Second)
			a.n.coord.ConsumerHeartbeat(context.Background(), Client{}, stubborn)
			rounds(t, 1, b)
		}
		want(t, "after a minute", a.send(stubborn), kerr.UnknownMemberID.Code)
		rounds(t, 1, b)
		if len(b.has()) != 4 {
			t.Errorf("b has %v", b.has())
		}
	})
}

// Expressions follow the topics, at most every ten seconds; "" is none.
func TestExpressionsFollowTheTopics(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, empty := n.modern("a"), n.modern("empty")
		expr, none := "t|u.*", ""
		a.names, a.regex = nil, &expr
		empty.regex, empty.names = &none, []string{}
		rounds(t, 3, a, empty)
		if len(a.has()) != 4 || len(empty.has()) != 0 {
			t.Fatalf("a %v, empty %v", a.has(), empty.has())
		}
		n.submit(metadata.CreateTopic{ID: metadata.TopicID{2}, Name: "u1", Partitions: 2, ReplicationFactor: 3},
			metadata.CreateTopic{ID: metadata.TopicID{3}, Name: "xt", Partitions: 2, ReplicationFactor: 3})
		rounds(t, 1, a)
		for range 3 {
			time.Sleep(4 * time.Second)
			rounds(t, 1, a, empty)
		}
		if len(a.has()) != 6 {
			t.Errorf("a has %v", a.owned)
		}
		if d := n.consumerDescribe(); *d.Members[0].SubscribedTopicRegex != expr || *d.Members[1].SubscribedTopicRegex != "" {
			t.Errorf("%+v", d.Members)
		}
		n.submit(metadata.CreatePartitions{ID: testTopic, Count: 5})
		n.submit(metadata.DeleteTopic{ID: metadata.TopicID{2}})
		for range 5 {
			time.Sleep(4 * time.Second)
			rounds(t, 1, a, empty)
		}
		if len(a.has()) != 5 {
			t.Errorf("a has %v", a.owned)
		}
	})
}

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

// What a transaction says of who commits is held against either protocol.
func TestTransactionsAreCheckedAgainstTheGroup(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		version := int16(5)
		check := func(name, id, instance string, generation int32, expected int16) {
			t.Helper()
			r := kmsg.NewPtrTxnOffsetCommitRequest()
			r.Version, r.TransactionalID, r.Group, r.MemberID, r.Generation = version, "tx", "g", id, generation
			if instance != "" {
				r.InstanceID = &instance
			}
			r.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 1}}}}
			got := n.coord.CommitTxnOffsets(context.Background(), Client{}, r).Topics[0].Partitions[0].ErrorCode
			if got == kerr.InvalidProducerIDMapping.Code { // the group let it through; there is no such transaction
				got = noError
			}
			want(t, name, got, expected)
		}
		check("no group, a generation", "m", "", 1, kerr.IllegalGeneration.Code)
		version = 6 // KIP-1319
		check("no group, a generation, in the new version", "m", "", 1, kerr.GroupIDNotFound.Code)
		version = 5
		check("no group, nobody named", "", "", -1, noError)
		a := n.consumer("i")
		w.gather(a)
		check("member", a.id, "i", 1, noError)
		check("nobody named", "", "", -1, noError)
		check("other generation", a.id, "", 2, kerr.IllegalGeneration.Code)
		check("stranger", "x", "", 1, kerr.UnknownMemberID.Code)
		check("another's instance", "x", "i", 1, kerr.FencedInstanceID.Code)
		want(t, "leave", a.leave(), noError)
		time.Sleep(100 * time.Millisecond)
		b := n.modern("b")
		rounds(t, 1, b)
		check("member", "b", "", b.epoch, noError)
		check("other epoch", "b", "", b.epoch+1, kerr.IllegalGeneration.Code)
		version = 6
		check("other epoch, in the new version", "b", "", b.epoch+1, kerr.StaleMemberEpoch.Code)
		check("stranger", "x", "", b.epoch, kerr.UnknownMemberID.Code)
		check("nobody named", "", "", -1, noError)
		n.coord.Release(metadata.GroupSlot("g"))
		check("slot of another", "", "", -1, kerr.NotCoordinator.Code)
	})
}

// A group whose state cannot be written says so, to members of either
// protocol, and goes on when it can.
func TestConsumersWaitForALogThatFails(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.modern("a")
		rounds(t, 1, a)
		var broken atomic.Bool
		broken.Store(true)
		n.writer.fault = func([]metadata.Command) error {
			if broken.Load() {
				return context.DeadlineExceeded
			}
			return nil
		}
		want(t, "leave", a.leave(-1), kerr.CoordinatorNotAvailable.Code)
		c := n.consumer("")
		want(t, "join", c.join(), kerr.CoordinatorNotAvailable.Code)
		b := n.modern("b")
		want(t, "beat", b.beat(), kerr.CoordinatorNotAvailable.Code)
		time.Sleep(10 * time.Second)
		want(t, "beat", b.beat(), kerr.CoordinatorNotAvailable.Code)
		broken.Store(false)
		time.Sleep(2 * time.Second)
		rounds(t, 1, b)
		if d := n.consumerDescribe(); len(d.Members) != 1 || d.Members[0].MemberID != "b" {
			t.Errorf("%+v", d)
		}
		n.w.log.ExpireSession(n.session.ID())
		n.stop()
		m := w.start(2)
		defer m.stop()
		m.hold("g")
		b.n = m
		rounds(t, 1, b)
		if d := m.consumerDescribe(); len(d.Members) != 1 || d.Members[0].MemberID != "b" || len(b.has()) != 4 {
			t.Errorf("%+v", d)
		}
	})
}
