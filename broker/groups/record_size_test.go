package groups

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// large is a consumer whose protocols have that much metadata each.
func (n *node) large(instance string, sizes ...int) *consumer {
	c := n.consumer(instance)
	c.protocols = nil
	for i, size := range sizes {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = fmt.Sprint("p", i), bytes.Repeat([]byte{byte('a' + i)}, size)
		c.protocols = append(c.protocols, p)
	}
	return c
}

// storedGroup is the group as the state has it.
func (n *node) storedGroup(name string) (g *metadata.Group) {
	n.replica.View(func(s *metadata.State) {
		if v, ok := s.Group(name); ok {
			g = v.Group
		}
	})
	return g
}

// What Kafka takes is taken: of each member its metadata for the protocol that
// was chosen is written, 2 x 900 KiB or not. Another holder goes on with that:
// no member notices, a static one comes back to it without a rebalance.
func TestTheChosenProtocolIsStoredAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		a, b := n.large("one", 900<<10, 900<<10), n.large("", 50_000, 50_000)
		w.gather(a, b)
		for _, m := range n.storedGroup("g").Members {
			if len(m.Protocols) != 1 || m.Protocols[0].Name != *a.joined.Protocol || len(m.Protocols[0].Metadata) < 50_000 {
				t.Errorf("of %s %d protocols are stored", m.ID, len(m.Protocols))
			}
		}
		w.log.ExpireSession(n.session.ID())
		n.stop()
		m := w.start(2)
		defer m.stop()
		m.hold("g")
		for _, c := range []*consumer{a, b} {
			c.n = m
			want(t, "heartbeat", c.heartbeat(), noError)
		}
		a.id = ""
		want(t, "the static member again", a.join(), noError)
		if a.generation != b.generation {
			t.Errorf("generation %d, then %d", b.generation, a.generation)
		}
		want(t, "the other", b.heartbeat(), noError)
	})
}

// A newcomer with whom no generation could be written is told so; who is there
// goes on, and is not told.
func TestWhoDoesNotFitAnEntryIsTurnedAway(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		want(t, "alone", n.large("", 1<<20).join(), kerr.MessageTooLarge.Code)
		want(t, "with another protocol", n.large("", 1<<20, 10).join(), noError)
		time.Sleep(time.Minute)
		a := n.large("", 600<<10)
		w.gather(a)
		want(t, "beside another", n.large("", 600<<10).join(), kerr.MessageTooLarge.Code)
		want(t, "heartbeat", a.heartbeat(), noError)
		b := n.large("", 300<<10)
		together(func() { want(t, "one that fits", b.join(), noError) }, func() {
			time.Sleep(time.Second)
			want(t, "the other", a.join(), noError)
		})
		together(func() { want(t, "sync", b.sync(), noError) }, func() { want(t, "sync", a.sync(), noError) })
	})
}

// Members may list many protocols.
func TestManyProtocolsOfAMember(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		w.gather(n.large("", make([]int, maxProtocols)...))
		want(t, "too many", n.large("", make([]int, maxProtocols+1)...).join(), kerr.InvalidRequest.Code)
	})
}

// recordBytes is what an entry has, and at its limit a generation is written.
func TestStoredBytesAreThoseOfTheEntry(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	text := func(n int) string { return strings.Repeat("x", r.IntN(n)) }
	for range 200 {
		m := newClassicGroup(text(300), limits{})
		m.protocolType, m.protocol = text(20), "chosen"
		for i := range r.IntN(20) {
			mem := &classicGroupMember{id: fmt.Sprint(i, text(300)), instance: text(200), clientID: text(300), clientHost: text(20),
				protocols:  []metadata.GroupProtocol{{Name: "spare", Metadata: []byte(text(9000))}, {Name: "chosen", Metadata: []byte(text(40_000))}},
				assignment: []byte(text(20_000))}
			m.addMember(mem)
			m.leader = mem.id
		}
		b, err := metadata.AppendEntry(nil, &metadata.Entry{Level: 1, Session: 1, Lane: metadata.LaneControl, Seq: 1,
			Commands: []metadata.Command{metadata.PutGroup{Group: *m.snapshot()}}})
		if err != nil {
			t.Fatal(err)
		}
		if over := len(b) - m.recordBytes(); over > 100 || over < -maxMemberID {
			t.Fatalf("an entry of %d bytes, reckoned with %d", len(b), m.recordBytes())
		}
	}
	p := metadata.ConsumerMember{ID: "a", Regex: text(400), Protocols: []metadata.GroupProtocol{{Name: "p", Metadata: make([]byte, 3000)}}}
	for range 5000 {
		p.Topics = append(p.Topics, text(200))
	}
	b, err := metadata.AppendEntry(nil, &metadata.Entry{Level: 1, Session: 1, Lane: metadata.LaneControl, Seq: 1,
		Commands: []metadata.Command{metadata.PutMember{Group: "g", Member: p}}})
	if over := len(b) - consumerMemberRecordBytes("g", &p); err != nil || over > 100 || over < 0 {
		t.Fatalf("an entry of %d bytes, reckoned with %d, %v", len(b), consumerMemberRecordBytes("g", &p), err)
	}
}

// What members say is bounded in memory, by group and in all. Who is turned
// away is to try again, since members go; ordinary ones come in where large
// ones do not.
func TestMemberBytesAreBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		n.coord.limits.maxGroupBytes = 1500 << 10
		a := n.large("", 900<<10, 400<<10)
		w.gather(a)
		want(t, "the group is full", n.large("", 10, 300<<10).join(), kerr.CoordinatorLoadInProgress.Code)
		n.coord.pool.limit = 1700 << 10
		other := n.large("", 200<<10)
		other.group = sameSlot("other")
		want(t, "the broker is full", other.join(), kerr.CoordinatorLoadInProgress.Code)
		want(t, "heartbeat", a.heartbeat(), noError)
		plain := n.consumer("")
		plain.group = sameSlot("plain")
		want(t, "an ordinary member", plain.join(), noError)
		m := n.modern("m")
		r := m.request()
		r.Group, r.SubscribedTopicNames = sameSlot("modern"), strings.Split(strings.Repeat("topic ", 40_000), " ")
		want(t, "the consumer protocol", m.send(r), kerr.CoordinatorLoadInProgress.Code)
		want(t, "leave", a.leave(), noError)
		time.Sleep(time.Second)
		want(t, "there is room again", other.join(), noError)
		want(t, "leave", other.leave(), noError)
		want(t, "leave", plain.leave(), noError)
		time.Sleep(time.Minute)
		if used, _ := n.coord.MemberBytes(); used != 0 {
			t.Errorf("%d bytes are held, and nobody is there", used)
		}
	})
}

// An assignment counts, too: while it is on its way, and as long as it is held.
func TestAssignmentsAreBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		want(t, "join", a.join(), noError)
		n.coord.pool.limit = 1 << 20
		want(t, "sync", a.syncOwn(1<<20), kerr.CoordinatorNotAvailable.Code)
		want(t, "sync", a.syncOwn(500<<10), noError)
		if used, _ := n.coord.MemberBytes(); used < 500<<10 || used > 501<<10 {
			t.Errorf("%d bytes are held", used)
		}
		want(t, "leave", a.leave(), noError)
		time.Sleep(time.Second)
		if used, _ := n.coord.MemberBytes(); used != 0 {
			t.Errorf("%d bytes are held, and nobody is there", used)
		}
	})
}

// sameSlot is a group's name in the slot of "g".
func sameSlot(name string) string {
	for metadata.GroupSlot(name) != metadata.GroupSlot("g") {
		name += "x"
	}
	return name
}

// Whoever joins a group whose members give a rebalance no time has gone before
// it can ask for its assignment, a static member too, as at Kafka. Version 0
// has no rebalance timeout: its session timeout stands for it.
func TestARebalanceTimeoutOfNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		n.coord.limits.initialDelay = 0
		join := func(version int16, instance string, timeout int32) *consumer {
			c := n.consumer(instance)
			c.version = version
			r := c.joinRequest()
			r.RebalanceTimeoutMillis = timeout
			c.joined = n.coord.Join(c.ctx, Client{ID: "cl"}, r)
			want(t, "join", c.joined.ErrorCode, noError)
			c.id, c.generation, c.leader = c.joined.MemberID, c.joined.Generation, true
			time.Sleep(time.Millisecond)
			return c
		}
		for i, instance := range []string{"", "one", ""} {
			c := join([]int16{3, 5, 3}[i], instance, []int32{0, 0, -1}[i])
			want(t, "sync", c.sync(), kerr.UnknownMemberID.Code)
			want(t, "heartbeat", c.heartbeat(), kerr.UnknownMemberID.Code)
			if d := n.describe("g"); d.State != "Empty" {
				t.Errorf("%s with %d members", d.State, len(d.Members))
			}
		}
		if c := join(3, "", 0); c.generation != 7 {
			t.Errorf("the fourth is in generation %d", c.generation)
		}
		a := join(0, "", 0)
		want(t, "sync", a.sync(), noError)
		want(t, "leave", a.leave(), noError)
		w.gather(n.consumer(""))
	})
}
