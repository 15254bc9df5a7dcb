package groups

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// world is a log, and brokers on it: real replicas and states, no WAL.
type world struct {
	t   *testing.T
	log *metadata.MemLog
}

var testTopic = metadata.TopicID{1}

// inWorld runs a test in a bubble with virtual time.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, log: metadata.NewMemLog()}
		w.log.Latency = 3 * time.Millisecond
		f(w)
	})
}

// node is one broker as far as groups go.
type node struct {
	w       *world
	replica *metadata.Replica
	session metadata.Session
	writer  *lane
	coord   *Coordinator
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// lane is a control lane: one entry at a time, in the order of the calls.
type lane struct {
	log    metadata.Log
	r      *metadata.Replica
	s      metadata.SessionID
	turn   chan struct{}
	seq    metadata.LaneSeq
	before func(cmds []metadata.Command)       // before the call has its turn: later calls overtake it
	fault  func(cmds []metadata.Command) error // before the entry is sent
}

func (l *lane) Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error) {
	if l.before != nil {
		l.before(cmds)
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return metadata.Outcome{}, ctx.Err()
	}
	if l.fault != nil {
		if err := l.fault(cmds); err != nil {
			return metadata.Outcome{}, err
		}
	}
	key := metadata.EntryKey{Session: l.s, Lane: metadata.LaneControl, Seq: l.seq + 1}
	b, err := metadata.AppendEntry(nil, &metadata.Entry{Level: 1, Session: key.Session, Lane: key.Lane, Seq: key.Seq, Commands: cmds})
	if err != nil {
		return metadata.Outcome{}, err
	}
	l.seq++
	w := l.r.Expect(key)
	defer w.Cancel()
	if _, err := l.log.Append(context.WithoutCancel(ctx), metadata.AppendRequest{Key: key, Bytes: b, Guard: guard}); err != nil {
		return metadata.Outcome{}, err
	}
	return <-w.C, nil
}

func (w *world) start(seed uint64) *node {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{w: w, cancel: cancel}
	n.replica = metadata.NewReplica(metadata.ReplicaConfig{Log: w.log, Logger: slog.New(slog.DiscardHandler)})
	n.wg.Go(func() {
		if err := n.replica.Run(ctx); err != nil {
			w.t.Errorf("replica: %v", err)
		}
	})
	session, err := w.log.OpenSession(ctx, metadata.SessionInfo{})
	if err != nil {
		w.t.Fatal(err)
	}
	n.session = session
	n.writer = &lane{log: w.log, r: n.replica, s: session.ID(), turn: make(chan struct{}, 1)}
	n.submit(metadata.OpenSession{Want: metadata.NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1})
	n.coord, err = Open(Config{Writer: n.writer, Replica: n.replica, Rand: rand.New(rand.NewPCG(seed, 1))})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (n *node) submit(cmds ...metadata.Command) {
	n.w.t.Helper()
	out, err := n.writer.Submit(context.Background(), cmds, nil)
	if err != nil || out.Code != metadata.CodeOK {
		n.w.t.Fatalf("submit %T: %+v, %v", cmds[0], out, err)
	}
	for _, c := range out.Commands {
		if c.Code != metadata.CodeOK {
			n.w.t.Fatalf("submit: %+v", out)
		}
	}
}

// stop ends the broker as a process that exits does.
func (n *node) stop() {
	n.coord.Close()
	n.cancel()
	n.wg.Wait()
}

// makeTopic makes topic "t" with 4 partitions.
func (n *node) makeTopic() {
	n.submit(metadata.CreateTopic{ID: testTopic, Name: "t", Partitions: 4, ReplicationFactor: 3})
}

// hold takes a group's slot, claims and holds it, without a keeper.
func (n *node) hold(group string) {
	n.w.t.Helper()
	slot := metadata.GroupSlot(group)
	d, ok, err := n.w.log.TryRole(context.Background(), n.session.ID(), SlotRole(slot))
	if err != nil || !ok {
		n.w.t.Fatalf("take slot: %v %v", ok, err)
	}
	n.submit(metadata.ClaimRole{Role: d.Name, Epoch: d.Epoch})
	n.coord.TakeOver(context.Background(), slot, d.Epoch)
}

// drop releases the role's key without the coordinator's knowledge.
func (n *node) drop(group string) {
	d, _, err := n.w.log.TryRole(context.Background(), n.session.ID(), SlotRole(metadata.GroupSlot(group)))
	if err != nil {
		n.w.t.Fatal(err)
	}
	if err := n.w.log.ReleaseRole(context.Background(), d); err != nil {
		n.w.t.Fatal(err)
	}
}

// single is a broker that holds group "g", and a topic.
func (w *world) single() *node {
	n := w.start(1)
	n.makeTopic()
	n.hold("g")
	return n
}

// consumer is a member as its client sees it.
type consumer struct {
	n          *node
	group      string
	id         string
	instance   *string
	generation int32
	leader     bool
	protocols  []kmsg.JoinGroupRequestProtocol
	session    time.Duration
	version    int16
	ctx        context.Context

	joined *kmsg.JoinGroupResponse
	synced *kmsg.SyncGroupResponse
}

func (n *node) consumer(instance string) *consumer {
	c := &consumer{n: n, group: "g", session: 10 * time.Second, version: 9, ctx: context.Background(),
		protocols: protocols("range", "t")}
	if instance != "" {
		c.instance = &instance
	}
	return c
}

func protocols(name string, topics ...string) []kmsg.JoinGroupRequestProtocol {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = topics
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = name, meta.AppendTo(nil)
	return []kmsg.JoinGroupRequestProtocol{p}
}

func (c *consumer) joinRequest() *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID = c.version, c.group, c.id, c.instance
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = int32(c.session/time.Millisecond), 60_000
	r.ProtocolType, r.Protocols = "consumer", c.protocols
	return r
}

// join joins as a client does: a second time with the id it was given.
func (c *consumer) join() int16 {
	c.joined = c.n.coord.Join(c.ctx, Client{ID: "cl", Host: "/127.0.0.1"}, c.joinRequest())
	if c.joined.ErrorCode == kerr.MemberIDRequired.Code {
		c.id = c.joined.MemberID
		c.joined = c.n.coord.Join(c.ctx, Client{ID: "cl", Host: "/127.0.0.1"}, c.joinRequest())
	}
	if c.joined.ErrorCode == noError {
		c.id, c.generation, c.leader = c.joined.MemberID, c.joined.Generation, c.joined.LeaderID == c.joined.MemberID
	}
	return c.joined.ErrorCode
}

// sync asks for the assignment; a leader gives each member "for <its id>".
func (c *consumer) sync() int16 {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version, r.Group, r.Generation, r.MemberID, r.InstanceID = 5, c.group, c.generation, c.id, c.instance
	r.ProtocolType, r.Protocol = c.joined.ProtocolType, c.joined.Protocol
	if c.leader && !c.joined.SkipAssignment {
		for _, m := range c.joined.Members {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = m.MemberID, []byte("for "+m.MemberID)
			r.GroupAssignment = append(r.GroupAssignment, a)
		}
	}
	c.synced = c.n.coord.Sync(c.ctx, Client{}, r)
	return c.synced.ErrorCode
}

// syncOwn is the SyncGroup of a leader that gives itself an assignment of so
// many bytes, and nobody else any.
func (c *consumer) syncOwn(bytes int) int16 {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version, r.Group, r.Generation, r.MemberID = 4, c.group, c.generation, c.id
	r.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: c.id, MemberAssignment: make([]byte, bytes)}}
	return c.n.coord.Sync(context.Background(), Client{}, r).ErrorCode
}

func (c *consumer) heartbeat() int16 {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Version, r.Group, r.Generation, r.MemberID, r.InstanceID = 4, c.group, c.generation, c.id, c.instance
	return c.n.coord.Heartbeat(c.ctx, Client{}, r).ErrorCode
}

func (c *consumer) leave() int16 {
	r := kmsg.NewPtrLeaveGroupRequest()
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = c.id, c.instance
	r.Version, r.Group, r.Members = 5, c.group, []kmsg.LeaveGroupRequestMember{m}
	out := c.n.coord.Leave(c.ctx, Client{}, r)
	if out.ErrorCode != noError {
		return out.ErrorCode
	}
	return out.Members[0].ErrorCode
}

// commit commits offset o of t/0 and returns the partition's code.
func (c *consumer) commit(o int64) int16 {
	return c.n.coord.CommitOffsets(c.ctx, Client{}, c.commitRequest("t", 0, o)).Topics[0].Partitions[0].ErrorCode
}

func (c *consumer) commitRequest(topic string, partition int32, o int64) *kmsg.OffsetCommitRequest {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version, r.Group, r.Generation, r.MemberID, r.InstanceID = 8, c.group, c.generation, c.id, c.instance
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch = partition, o, 5
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.OffsetCommitRequestTopicPartition{p}
	r.Topics = []kmsg.OffsetCommitRequestTopic{t}
	return r
}

// together runs functions at the same time and waits for all.
func together(fs ...func()) {
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(f)
	}
	wg.Wait()
}

// gather brings consumers through one rebalance to a stable generation.
func (w *world) gather(cs ...*consumer) {
	w.t.Helper()
	fs := make([]func(), len(cs))
	for i, c := range cs {
		fs[i] = func() {
			if code := c.join(); code != noError {
				w.t.Errorf("consumer %d: join: %d", i, code)
				return
			}
			if code := c.sync(); code != noError {
				w.t.Errorf("consumer %d: sync: %d", i, code)
			}
			if got := string(c.synced.MemberAssignment); got != "for "+c.id {
				w.t.Errorf("consumer %d: assignment %q, want that of %q", i, got, c.id)
			}
		}
	}
	together(fs...)
	if w.t.Failed() {
		w.t.FailNow()
	}
}

func (n *node) describe(group string) kmsg.DescribeGroupsResponseGroup {
	r := kmsg.NewPtrDescribeGroupsRequest()
	r.Version, r.Groups = 6, []string{group}
	return n.coord.Describe(context.Background(), Client{}, r).Groups[0]
}

// offset fetches the committed offset of a partition of t.
func (n *node) offset(group string, partition int32) int64 {
	r := kmsg.NewPtrOffsetFetchRequest()
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = "t", []int32{partition}
	r.Version, r.Group, r.Topics = 7, group, []kmsg.OffsetFetchRequestTopic{t}
	out := n.coord.FetchOffsets(context.Background(), Client{}, r)
	if out.ErrorCode != noError || out.Topics[0].Partitions[0].ErrorCode != noError {
		n.w.t.Fatalf("fetch offset: %+v", out)
	}
	return out.Topics[0].Partitions[0].Offset
}
