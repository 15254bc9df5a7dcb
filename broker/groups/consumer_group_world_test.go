package groups

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// fakeTopics is a topicSource.
type fakeTopics struct {
	at     metadata.Revision
	topics map[string]assignTopic
}

func (f *fakeTopics) readRevision() metadata.Revision { return f.at }

func (f *fakeTopics) findTopics(names []string) map[string]assignTopic {
	out := map[string]assignTopic{}
	for _, n := range names {
		if t, ok := f.topics[n]; ok {
			out[n] = t
		}
	}
	return out
}

func (f *fakeTopics) listTopicNames() (names []string, bytes int) {
	names = slices.Sorted(maps.Keys(f.topics))
	for _, n := range names {
		bytes += len(n) + 1
	}
	return names, bytes
}

// mirror is what the log holds of one group: the commands applied.
type mirror struct {
	head    *metadata.ConsumerGroup
	members map[string]*metadata.MemberView
}

func (m *mirror) apply(t *testing.T, cmds []metadata.Command) {
	t.Helper()
	for _, c := range cmds {
		switch c := c.(type) {
		case metadata.PutMember:
			if m.head == nil {
				m.head = &metadata.ConsumerGroup{AssignmentEpoch: c.GroupEpoch - 1}
			}
			m.head.Epoch = c.GroupEpoch
			if m.members[c.Member.ID] == nil {
				m.members[c.Member.ID] = &metadata.MemberView{}
			}
			m.members[c.Member.ID].ConsumerMember = c.Member
		case metadata.RemoveMembers:
			m.head.Epoch = c.GroupEpoch
			for _, id := range c.IDs {
				delete(m.members, id)
			}
		case metadata.SetAssignments:
			for _, a := range c.Members {
				if m.members[a.ID] == nil {
					t.Fatalf("assignment of %s, which is not stored", a.ID)
				}
				m.members[a.ID].Assignment = a
			}
		case metadata.SetTargets:
			if m.head == nil {
				t.Fatal("targets of a group that is not stored")
			}
			for _, a := range c.Targets {
				if m.members[a.ID] == nil {
					t.Fatalf("target of %s, which is not stored", a.ID)
				}
				m.members[a.ID].Target = a.Target
			}
			m.head.Epoch, m.head.AssignmentEpoch = c.GroupEpoch, c.AssignmentEpoch
		}
	}
}

func (m *mirror) views() (out []metadata.MemberView) {
	for _, id := range slices.Sorted(maps.Keys(m.members)) {
		out = append(out, *m.members[id])
	}
	return out
}

// heartbeatClient is a client of the consumer protocol as far as ownership goes.
type heartbeatClient struct {
	id        string
	epoch     int32
	owned     partitionSet                      // reads them
	assigned  partitionSet                      // was told last
	since     map[metadata.TopicPartition]int32 // its epoch when it was told of each, without a break
	names     []string
	full      bool // says everything again
	dead      bool
	lastHeard time.Time
}

// consumerGroupWorld drives a consumerGroup with clients, a log that fails at times, and
// coordinators that die.
type consumerGroupWorld struct {
	t       *testing.T
	rnd     *rand.Rand
	now     time.Time
	topics  *fakeTopics
	log     mirror
	r       *consumerGroup
	clients []*heartbeatClient
	made    int
	moves   int // partitions that a client gave up
}

func newConsumerGroupWorld(t *testing.T, seed uint64) *consumerGroupWorld {
	w := &consumerGroupWorld{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_700_000_000, 0), log: mirror{members: map[string]*metadata.MemberView{}},
		topics: &fakeTopics{at: 1, topics: map[string]assignTopic{"a": {metadata.TopicID{1}, 6}, "b": {metadata.TopicID{2}, 3}}}}
	w.fresh()
	return w
}

func (w *consumerGroupWorld) fresh() {
	l := limits{maxClassicMembers: 100, maxConsumers: 100, maxGroupBytes: 8 << 20}
	w.r = newConsumerGroup("g", l, memberTimeouts{45 * time.Second, 5 * time.Second}, w.topics)
	if w.log.head != nil {
		w.r.loadMembers(w.log.head, w.log.views(), w.now)
	}
}

// flush writes what is dirty, perhaps only a part of it.
func (w *consumerGroupWorld) flush(mayFail bool) {
	for w.r.writeBuffer.shouldWrite(w.now) {
		f := w.r.takeBatch(1)
		code := noError
		for _, cmds := range f.entries {
			if mayFail && w.rnd.IntN(10) == 0 {
				code = kerr.CoordinatorNotAvailable.Code
				if w.rnd.IntN(2) == 0 { // it landed, and nobody heard
					w.log.apply(w.t, cmds)
				}
				break
			}
			w.log.apply(w.t, cmds)
		}
		w.r.writeBuffer.completeBatch(w.now, code)
	}
}

func (w *consumerGroupWorld) join() *heartbeatClient {
	w.made++
	c := &heartbeatClient{id: fmt.Sprintf("c%02d", w.made), full: true, names: []string{"a"}, lastHeard: w.now}
	if w.rnd.IntN(2) == 0 {
		c.names = append(c.names, "b")
	}
	w.clients = append(w.clients, c)
	return c
}

// sendHeartbeat sends one heartbeat of a client, and has it take the answer.
func (w *consumerGroupWorld) sendHeartbeat(c *heartbeatClient, mayFail bool) {
	b := &consumerHeartbeat{id: c.id, epoch: c.epoch, rebalanceTimeout: -1, timeouts: w.r.timeouts, owned: c.owned, reportsOwned: true}
	if c.epoch == 0 || c.full {
		b.rebalanceTimeout, b.topicNames, b.isFullRequest = time.Minute, c.names, true
	}
	var out *consumerHeartbeatResult
	b.reply = func(r consumerHeartbeatResult) { out = &r }
	w.r.handleConsumerHeartbeat(w.now, b)
	w.flush(mayFail)
	if out == nil {
		return // a new coordinator would be asked again; nobody answered
	}
	switch out.code {
	case noError:
		c.epoch, c.lastHeard, c.full = out.epoch, w.now, false
		if out.hasAssignment {
			c.assigned = out.assigned
			c.learn()
		}
	case kerr.FencedMemberEpoch.Code, kerr.UnknownMemberID.Code:
		c.epoch, c.owned, c.assigned, c.full, c.since = 0, nil, nil, true, nil
	case kerr.CoordinatorNotAvailable.Code:
		c.full = true
	default:
		w.t.Fatalf("beat of %s: %d %s", c.id, out.code, out.text)
	}
}

// learn notes since when the client has what it was told to have.
func (c *heartbeatClient) learn() {
	had := c.since
	c.since = map[metadata.TopicPartition]int32{}
	for _, tp := range c.assigned {
		epoch, known := had[tp]
		if !known {
			epoch = c.epoch
		}
		c.since[tp] = epoch
	}
}

// obey lets a client give up what it was not told to have, then take the rest.
func (w *consumerGroupWorld) obey(c *heartbeatClient) {
	keep, drop := c.owned.split(c.assigned)
	w.moves += len(drop)
	c.owned = keep
	if len(drop) == 0 {
		c.owned = c.assigned
	}
}

// check: no two living clients read the same partition, and what one reads it
// may commit under its epoch, and under every one since it was told of it,
// where the coordinator knows what it said last.
func (w *consumerGroupWorld) check(step int) {
	w.t.Helper()
	who := map[metadata.TopicPartition]string{}
	for _, c := range w.clients {
		if c.dead {
			continue
		}
		for _, tp := range c.owned {
			if other := who[tp]; other != "" {
				w.t.Fatalf("step %d: %s and %s both read %v", step, other, c.id, tp)
			}
			who[tp] = c.id
		}
		p := w.r.members[c.id]
		if p == nil || p.epoch != c.epoch {
			continue
		}
		for _, tp := range c.owned {
			since, known := c.since[tp]
			if !known || w.r.owners[tp].member == c.id && w.r.owners[tp].since <= since {
				continue
			}
			w.t.Fatalf("step %d: %s has %v since epoch %d, to the coordinator it is %+v", step, c.id, tp, since, w.r.owners[tp])
		}
	}
}

func (w *consumerGroupWorld) step(i int) {
	w.now = w.now.Add(time.Duration(w.rnd.IntN(2000)) * time.Millisecond)
	switch n := w.rnd.IntN(100); {
	case n < 4 && len(w.clients) < 12 || len(w.clients) == 0:
		w.join()
	case n < 6: // one dies: it is silent until its session has ended
		c := w.clients[w.rnd.IntN(len(w.clients))]
		c.dead = true
		w.clients = slices.DeleteFunc(w.clients, func(o *heartbeatClient) bool { return o == c })
	case n < 8:
		c := w.clients[w.rnd.IntN(len(w.clients))]
		b := &consumerHeartbeat{id: c.id, epoch: epochLeave, timeouts: w.r.timeouts, reply: func(consumerHeartbeatResult) {}}
		c.owned, c.dead = nil, true
		w.r.handleConsumerHeartbeat(w.now, b)
		w.clients = slices.DeleteFunc(w.clients, func(o *heartbeatClient) bool { return o == c })
	case n < 10:
		c := w.clients[w.rnd.IntN(len(w.clients))]
		c.names, c.full = [][]string{{"a"}, {"b"}, {"a", "b"}, {"a", "new"}}[w.rnd.IntN(4)], true
	case n < 12:
		w.topics.at++
		name := []string{"a", "b", "new"}[w.rnd.IntN(3)]
		topic := w.topics.topics[name]
		if w.rnd.IntN(4) == 0 || topic.partitions == 0 {
			topic = assignTopic{metadata.TopicID{byte(w.topics.at), byte(w.topics.at >> 8), 9}, 1}
		}
		topic.partitions += int32(w.rnd.IntN(3))
		w.topics.topics[name] = topic
	case n < 14: // the coordinator dies with what it had not written
		w.fresh()
	default:
		c := w.clients[w.rnd.IntN(len(w.clients))]
		if w.rnd.IntN(3) > 0 {
			w.obey(c)
		}
		w.sendHeartbeat(c, true)
	}
	w.r.handleDeadlines(w.now)
	w.flush(true)
	w.check(i)
	if w.rnd.IntN(3) == 0 { // most are never silent for long
		for _, c := range w.clients {
			if w.now.Sub(c.lastHeard) > 10*time.Second {
				w.obey(c)
				w.sendHeartbeat(c, false)
				w.check(i)
			}
		}
	}
}

// settle lets everybody beat until nothing changes.
func (w *consumerGroupWorld) settle() {
	for range 40 {
		w.now = w.now.Add(5 * time.Second)
		w.r.handleDeadlines(w.now)
		w.flush(false)
		for _, c := range w.clients {
			w.obey(c)
			w.sendHeartbeat(c, false)
			w.check(-1)
		}
	}
}
