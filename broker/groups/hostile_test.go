package groups

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
			{"empty group id", func(r *kmsg.JoinGroupRequest) { r.Group = "" }, codeInvalidGroupID},
			{"slot of another", func(r *kmsg.JoinGroupRequest) { r.Group = other }, codeNotCoordinator},
			{"session too short", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 5_999 }, codeInvalidSession},
			{"session too long", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1_800_001 }, codeInvalidSession},
			{"other protocol type", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" }, codeInconsistentProtocol},
			{"no protocol type", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" }, codeInconsistentProtocol},
			{"no protocols", func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }, codeInconsistentProtocol},
			{"no common protocol", func(r *kmsg.JoinGroupRequest) { r.Protocols = protocols("roundrobin", "t") }, codeInconsistentProtocol},
			{"unknown member", func(r *kmsg.JoinGroupRequest) { r.MemberID = "nobody" }, codeUnknownMember},
			{"unknown instance", func(r *kmsg.JoinGroupRequest) { r.MemberID, r.InstanceID = "nobody", new(string) }, codeUnknownMember},
			{"instance of another", func(r *kmsg.JoinGroupRequest) { r.MemberID, r.InstanceID = "nobody", a.instance }, codeFencedInstance},
			{"newcomer", func(*kmsg.JoinGroupRequest) {}, codeMemberIDRequired},
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
		want(t, "heartbeat, no group", a.heartbeat(), codeUnknownMember)
		w.gather(a)
		wrong := "wrong"
		sync := func(change func(r *kmsg.SyncGroupRequest)) *kmsg.SyncGroupResponse {
			r := kmsg.NewPtrSyncGroupRequest()
			r.Version, r.Group, r.Generation, r.MemberID = 5, "g", a.generation, a.id
			r.ProtocolType, r.Protocol = a.joined.ProtocolType, a.joined.Protocol
			change(r)
			return n.coord.Sync(context.Background(), Client{}, r)
		}
		want(t, "type", sync(func(r *kmsg.SyncGroupRequest) { r.ProtocolType = &wrong }).ErrorCode, codeInconsistentProtocol)
		want(t, "name", sync(func(r *kmsg.SyncGroupRequest) { r.Protocol = &wrong }).ErrorCode, codeInconsistentProtocol)
		want(t, "none", sync(func(r *kmsg.SyncGroupRequest) { r.Protocol = nil }).ErrorCode, codeInconsistentProtocol)
		want(t, "generation", sync(func(r *kmsg.SyncGroupRequest) { r.Generation = 9 }).ErrorCode, codeIllegalGeneration)
		want(t, "member", sync(func(r *kmsg.SyncGroupRequest) { r.MemberID = "x" }).ErrorCode, codeUnknownMember)
		want(t, "again", sync(func(*kmsg.SyncGroupRequest) {}).ErrorCode, codeOK)
		a.generation = 9
		want(t, "heartbeat", a.heartbeat(), codeIllegalGeneration)
	})
}

// A leader that leaves a member out gives it empty bytes, not none.
func TestMemberWithoutAssignmentGetsEmptyBytes(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		want(t, "join", a.join(), codeOK)
		a.leader = false // its client sends nothing
		want(t, "sync", a.sync(), codeOK)
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
		n.coord.limits.size = 3
		for i := range 5 {
			out := n.coord.Join(context.Background(), Client{ID: "cl"}, n.consumer("").joinRequest())
			code := codeMemberIDRequired
			if i >= 3 {
				code = codeGroupMaxSize
			}
			want(t, "join", out.ErrorCode, code)
		}
		time.Sleep(11 * time.Second) // the promises run out
		w.gather(n.consumer(""), n.consumer(""), n.consumer(""))
		want(t, "full", n.consumer("").join(), codeGroupMaxSize)
	})
}

// An assignment beyond an entry tells the leader; the group goes on.
func TestAssignmentTooLargeForAnEntry(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		want(t, "join", a.join(), codeOK)
		want(t, "sync", a.syncOwn(1<<20), codeMessageTooLarge)
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
		want(t, "join", <-got, codeOK)
		want(t, "sync", good.sync(), codeOK)
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
			code := codeOK
			if i == 2 {
				code = codeLoadInProgress
			}
			want(t, "commit", c.commit(1), code)
		}
		time.Sleep(11 * time.Second)
		want(t, "commit later", c.commit(1), codeOK)
		if n.coord.live != 1 {
			t.Errorf("%d live groups", n.coord.live)
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
		for i, code := range []int16{codeOK, codeOK, codeUnknownMember, codeUnknownMember, codeUnknownMember} {
			want(t, fmt.Sprint("member ", i), out.Members[i].ErrorCode, code)
		}
		old := kmsg.NewPtrLeaveGroupRequest()
		old.Version, old.Group, old.MemberID = 2, "g", "x"
		want(t, "version 2", n.coord.Leave(context.Background(), Client{}, old).ErrorCode, codeUnknownMember)
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
					if code := members[i+k].beat(); code != codeOK {
						t.Errorf("member %d: %d", i+k, code)
					}
				}
			}
			together(fs...)
			if i%1000 == 0 {
				want(t, "heartbeat of another group", other.heartbeat(), codeOK)
			}
		}
		want(t, "one more", n.modern("more").beat(), codeGroupMaxSize)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("took %v of the log's time", took)
		}
		if entries.Load() > 1000 {
			t.Errorf("%d entries for 10,000 members that came a hundred at a time", entries.Load())
		}
		time.Sleep(15 * time.Second)
		want(t, "the first again", members[0].beat(), codeOK)
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
		p, err := s.admit(expr, topics)
		if (err == nil) != ok {
			t.Errorf("%.40q: %v, want accepted %v", expr, err, ok)
		}
		if err == nil {
			names, _ := topics.all()
			p.match(names)
		}
	}
	var s subscriptions
	topics.topics = nil
	for i := range maxPatterns + 1 {
		expr := fmt.Sprintf("a%d", i)
		p, err := s.admit(expr, topics)
		if (err == nil) != (i < maxPatterns) {
			t.Fatalf("expression %d: %v", i, err)
		}
		s.add(&metadata.ConsumerMember{Regex: expr}, p)
	}
}

// What a group shares out fits an entry for every member, whatever exists.
func TestGroupsOfAllTopicsAreCutToWhatFitsAnEntry(t *testing.T) {
	w := newRosterWorld(t, 1)
	w.topics.topics = map[string]assignTopic{}
	for i := range 40_000 {
		w.topics.topics[fmt.Sprintf("t%05d", i)] = assignTopic{metadata.TopicID{byte(i >> 8), byte(i), 1}, 5}
	}
	expr := ".*"
	b := &beat{id: "a", rebalance: time.Minute, regex: &expr, saysOwned: true, isFull: true, times: w.r.times, reply: func(beatResult) {}}
	w.r.beat(w.now, b)
	if n := len(w.r.members["a"].assigned); n == 0 || n > maxGroupPartitions {
		t.Fatalf("%d partitions", n)
	}
	for _, cmds := range w.r.take(1).entries {
		if _, err := metadata.AppendEntry(nil, &metadata.Entry{Level: 1, Session: 1, Lane: metadata.LaneControl, Seq: 1, Commands: cmds}); err != nil {
			t.Fatal(err)
		}
	}
}
