package groups

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func TestJoinRefusals(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("i-a")
		w.gather(a)
		other := "h"
		for metadata.GroupSlot(other) == metadata.GroupSlot("g") {
			other += "h"
		}
		for _, row := range []struct {
			name   string
			change func(r *kmsg.JoinGroupRequest)
			want   int16
		}{
			{"empty group id", func(r *kmsg.JoinGroupRequest) { r.Group = "" }, kerr.InvalidGroupID.Code},
			{"slot of another", func(r *kmsg.JoinGroupRequest) { r.Group = other }, kerr.NotCoordinator.Code},
			{"session too short", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 5_999 }, kerr.InvalidSessionTimeout.Code},
			{"session too long", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1_800_001 }, kerr.InvalidSessionTimeout.Code},
			{"other protocol type", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" }, kerr.InconsistentGroupProtocol.Code},
			{"no protocol type", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" }, kerr.InconsistentGroupProtocol.Code},
			{"no protocols", func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }, kerr.InconsistentGroupProtocol.Code},
			{"no common protocol", func(r *kmsg.JoinGroupRequest) { r.Protocols = protocols("roundrobin", "t") }, kerr.InconsistentGroupProtocol.Code},
			{"unknown member", func(r *kmsg.JoinGroupRequest) { r.MemberID = "nobody" }, kerr.UnknownMemberID.Code},
			{"unknown instance", func(r *kmsg.JoinGroupRequest) { r.MemberID, r.InstanceID = "nobody", new(string) }, kerr.UnknownMemberID.Code},
			{"instance of another", func(r *kmsg.JoinGroupRequest) { r.MemberID, r.InstanceID = "nobody", a.instance }, kerr.FencedInstanceID.Code},
			{"newcomer", func(*kmsg.JoinGroupRequest) {}, kerr.MemberIDRequired.Code},
		} {
			r := n.consumer("").joinRequest()
			row.change(r)
			out := n.coord.Join(context.Background(), Client{ID: "cl"}, r)
			want(t, row.name, out.ErrorCode, row.want)
			if out.Generation != -1 || len(out.Members) != 0 {
				t.Errorf("%s: %+v", row.name, out)
			}
		}
	})
}

func TestSyncAndHeartbeatRefusals(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		want(t, "heartbeat, no group", a.heartbeat(), kerr.UnknownMemberID.Code)
		w.gather(a)
		wrong := "wrong"
		sync := func(change func(r *kmsg.SyncGroupRequest)) *kmsg.SyncGroupResponse {
			r := kmsg.NewPtrSyncGroupRequest()
			r.Version, r.Group, r.Generation, r.MemberID = 5, "g", a.generation, a.id
			r.ProtocolType, r.Protocol = a.joined.ProtocolType, a.joined.Protocol
			change(r)
			return n.coord.Sync(context.Background(), Client{}, r)
		}
		want(t, "type", sync(func(r *kmsg.SyncGroupRequest) { r.ProtocolType = &wrong }).ErrorCode, kerr.InconsistentGroupProtocol.Code)
		want(t, "name", sync(func(r *kmsg.SyncGroupRequest) { r.Protocol = &wrong }).ErrorCode, kerr.InconsistentGroupProtocol.Code)
		want(t, "none", sync(func(r *kmsg.SyncGroupRequest) { r.Protocol = nil }).ErrorCode, kerr.InconsistentGroupProtocol.Code)
		want(t, "generation", sync(func(r *kmsg.SyncGroupRequest) { r.Generation = 9 }).ErrorCode, kerr.IllegalGeneration.Code)
		want(t, "member", sync(func(r *kmsg.SyncGroupRequest) { r.MemberID = "x" }).ErrorCode, kerr.UnknownMemberID.Code)
		want(t, "again", sync(func(*kmsg.SyncGroupRequest) {}).ErrorCode, noError)
		a.generation = 9
		want(t, "heartbeat", a.heartbeat(), kerr.IllegalGeneration.Code)
	})
}

// A leader that leaves a member out gives it empty bytes, not none.
func TestMemberWithoutAssignmentGetsEmptyBytes(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		want(t, "join", a.join(), noError)
		a.leader = false // its client sends nothing
		want(t, "sync", a.sync(), noError)
		if a.synced.MemberAssignment == nil || len(a.synced.MemberAssignment) != 0 {
			t.Errorf("assignment %v", a.synced.MemberAssignment)
		}
	})
}

// Clients before KIP-394 are taken in at once; one whose connection ends
// before it learnt its id leaves nothing behind.
func TestOldNewcomerThatHangsUpIsForgotten(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		for version := int16(0); version < 4; version++ {
			ctx, hangUp := context.WithTimeout(context.Background(), time.Second)
			a := n.consumer("")
			a.version, a.ctx = version, ctx
			a.join()
			hangUp()
		}
		b := n.consumer("")
		b.version = 1
		w.gather(b)
		if d := n.describe("g"); len(d.Members) != 1 {
			t.Errorf("%d members", len(d.Members))
		}
	})
}

// A newcomer whose connection ends while it waits has its session to return.
func TestKnownMemberThatHangsUpMayReturn(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		w.gather(a)
		b := n.consumer("")
		ctx, hangUp := context.WithTimeout(context.Background(), time.Second)
		b.ctx = ctx
		b.join()
		hangUp()
		b.ctx = context.Background()
		id := b.id
		w.gather(a, b)
		if b.id != id {
			t.Errorf("id %q, then %q", id, b.id)
		}
	})
}

func TestGroupSizeCountsPromisedIds(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		n.coord.limits.maxClassicMembers = 3
		for i := range 5 {
			out := n.coord.Join(context.Background(), Client{ID: "cl"}, n.consumer("").joinRequest())
			code := kerr.MemberIDRequired.Code
			if i >= 3 {
				code = kerr.GroupMaxSizeReached.Code
			}
			want(t, "join", out.ErrorCode, code)
		}
		time.Sleep(11 * time.Second) // the promises run out
		w.gather(n.consumer(""), n.consumer(""), n.consumer(""))
		want(t, "full", n.consumer("").join(), kerr.GroupMaxSizeReached.Code)
	})
}

// An assignment beyond an entry tells the leader; the group goes on.
func TestAssignmentTooLargeForAnEntry(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		want(t, "join", a.join(), noError)
		want(t, "sync", a.syncOwn(1<<20), kerr.MessageTooLarge.Code)
		w.gather(a)
	})
}

// A thousand joins that never sync are expelled at the rebalance timeout, and
// who behaves goes on.
func TestJoinsThatNeverSyncAreExpelled(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		var fs []func()
		for i := range 1000 {
			fs = append(fs, func() {
				c := n.consumer("")
				c.version, c.session = int16(i%4), 30*time.Minute
				c.join()
			})
		}
		together(fs...)
		good := n.consumer("")
		got := make(chan int16, 1)
		go func() { got <- good.join() }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		want(t, "join", <-got, noError)
		want(t, "sync", good.sync(), noError)
		if d := n.describe("g"); len(d.Members) != 1 || d.State != "Stable" {
			t.Errorf("%s with %d members", d.State, len(d.Members))
		}
	})
}

// Live groups are bounded; quiet ones give their goroutine back.
func TestLiveGroupsAreBoundedAndEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		n.coord.cfg.MaxLiveGroups = 2
		var names []string
		for i := 0; len(names) < 3; i++ {
			if name := fmt.Sprint("group-", i); metadata.GroupSlot(name) == metadata.GroupSlot("g") {
				names = append(names, name)
			}
		}
		c := &consumer{n: n, generation: -1, ctx: context.Background()}
		for i, name := range names {
			c.group = name
			code := noError
			if i == 2 {
				code = kerr.CoordinatorLoadInProgress.Code
			}
			want(t, "commit", c.commit(1), code)
		}
		time.Sleep(11 * time.Second)
		want(t, "commit later", c.commit(1), noError)
		if n.coord.liveGroups != 1 {
			t.Errorf("%d live groups", n.coord.liveGroups)
		}
	})
}

func TestLeaveAnswersEachMember(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b := n.consumer("i-a"), n.consumer("")
		w.gather(a, b)
		stranger, why := "i-x", "by hand"
		r := kmsg.NewPtrLeaveGroupRequest()
		r.Version, r.Group = 5, "g"
		r.Members = []kmsg.LeaveGroupRequestMember{
			{InstanceID: a.instance, Reason: &why}, {MemberID: b.id}, {MemberID: "x"},
			{InstanceID: &stranger}, {MemberID: "x", InstanceID: a.instance},
		}
		out := n.coord.Leave(context.Background(), Client{}, r)
		for i, code := range []int16{noError, noError, kerr.UnknownMemberID.Code, kerr.UnknownMemberID.Code, kerr.UnknownMemberID.Code} {
			want(t, fmt.Sprint("member ", i), out.Members[i].ErrorCode, code)
		}
		old := kmsg.NewPtrLeaveGroupRequest()
		old.Version, old.Group, old.MemberID = 2, "g", "x"
		want(t, "version 2", n.coord.Leave(context.Background(), Client{}, old).ErrorCode, kerr.UnknownMemberID.Code)
	})
}

// Ten thousand members of the consumer protocol, and one more: bounded, and
// another group's members are answered meanwhile.
func TestTenThousandConsumersAreBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		var entries atomic.Int64
		n.writer.before = func([]metadata.Command) { entries.Add(1) }
		other := n.consumer("")
		for metadata.GroupSlot(other.group) != metadata.GroupSlot("g") || other.group == "g" {
			other.group += "o"
		}
		w.gather(other)
		begin := time.Now()
		members := make([]*modern, DefaultConfig().MaxConsumers)
		for i := range members {
			members[i] = n.modern(fmt.Sprintf("m%05d", i))
		}
		for i := 0; i < len(members); i += 100 { // a hundred at a time, as clients come
			fs := make([]func(), 100)
			for k := range fs {
				fs[k] = func() {
					if code := members[i+k].sendHeartbeat(); code != noError {
						t.Errorf("member %d: %d", i+k, code)
					}
				}
			}
			together(fs...)
			if i%1000 == 0 {
				want(t, "heartbeat of another group", other.heartbeat(), noError)
			}
		}
		want(t, "one more", n.modern("more").sendHeartbeat(), kerr.GroupMaxSizeReached.Code)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("took %v of the log's time", took)
		}
		if entries.Load() > 1000 {
			t.Errorf("%d entries for 10,000 members that came a hundred at a time", entries.Load())
		}
		time.Sleep(15 * time.Second)
		want(t, "the first again", members[0].sendHeartbeat(), noError)
		if d := n.consumerDescribe(); len(d.Members) != DefaultConfig().MaxConsumers || d.State != "Reconciling" {
			t.Errorf("%d members, state %s", len(d.Members), d.State)
		}
	})
}

// An expression is matched in bounded time, or refused: size, program, number,
// and cost against all topics there are.
func TestExplodingExpressionsAreBounded(t *testing.T) {
	topics := &fakeTopics{at: 1, topics: map[string]assignTopic{}}
	for i := range 50_000 {
		topics.topics[fmt.Sprintf("a-topic-of-some-length-%05d", i)] = assignTopic{metadata.TopicID{byte(i >> 16), byte(i >> 8), byte(i)}, 1}
	}
	for expr, ok := range map[string]bool{
		"a.*":                           true,
		".*(?:(?:a|b)).*":               true,
		"(a*)*b":                        true, // exponential elsewhere
		"(?:a?){50}a{50}":               true,
		"(?:a?){900}a{900}":             false,
		strings.Repeat("a", 600):        false,
		"a{1001}":                       false,
		"((((a{30}){30}){30}){30}){30}": false,
		"a)|(b":                         false, // would escape its anchors
		"[":                             false,
		"(?=a)":                         false, // not RE2
		strings.Repeat("x", 5_000):      false,
	} {
		var s subscriptions
		p, err := s.compileNewPattern(expr, topics)
		if (err == nil) != ok {
			t.Errorf("%.40q: %v, want accepted %v", expr, err, ok)
		}
		if err == nil {
			names, _ := topics.listTopicNames()
			p.matchTopics(names)
		}
	}
	var s subscriptions
	topics.topics = nil
	for i := range maxPatterns + 1 {
		expr := fmt.Sprintf("a%d", i)
		p, err := s.compileNewPattern(expr, topics)
		if (err == nil) != (i < maxPatterns) {
			t.Fatalf("expression %d: %v", i, err)
		}
		s.addMember(&metadata.ConsumerMember{Regex: expr}, p)
	}
}

// What a group shares out fits an entry for every member, whatever exists.
func TestGroupsOfAllTopicsAreCutToWhatFitsAnEntry(t *testing.T) {
	w := newConsumerGroupWorld(t, 1)
	w.topics.topics = map[string]assignTopic{}
	for i := range 40_000 {
		w.topics.topics[fmt.Sprintf("t%05d", i)] = assignTopic{metadata.TopicID{byte(i >> 8), byte(i), 1}, 5}
	}
	expr := ".*"
	b := &consumerHeartbeat{id: "a", rebalanceTimeout: time.Minute, regex: &expr, reportsOwned: true, isFullRequest: true, timeouts: w.r.timeouts, reply: func(consumerHeartbeatResult) {}}
	w.r.handleConsumerHeartbeat(w.now, b)
	if n := len(w.r.members["a"].assigned); n == 0 || n > maxGroupPartitions {
		t.Fatalf("%d partitions", n)
	}
	for _, cmds := range w.r.takeBatch(1).entries {
		if _, err := metadata.AppendEntry(nil, &metadata.Entry{Level: 1, Session: 1, Lane: metadata.LaneControl, Seq: 1, Commands: cmds}); err != nil {
			t.Fatal(err)
		}
	}
}
