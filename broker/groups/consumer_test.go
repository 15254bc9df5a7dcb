package groups

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

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
		want(t, "instance in use", thief.sendHeartbeat(), kerr.UnreleasedInstanceID.Code)
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
		want(t, "the old life", a.sendHeartbeat(), kerr.FencedInstanceID.Code)
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
		want(t, "beat", b.sendHeartbeat(), kerr.CoordinatorNotAvailable.Code)
		time.Sleep(10 * time.Second)
		want(t, "beat", b.sendHeartbeat(), kerr.CoordinatorNotAvailable.Code)
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
