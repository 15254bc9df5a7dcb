package metadata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// memStore is a minimal Store.
type memStore struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func newMemStore() *memStore { return &memStore{objects: map[string][]byte{}} }

func (m *memStore) Put(_ context.Context, key string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[key] != nil {
		return errors.New("exists")
	}
	m.objects[key] = append([]byte(nil), body...)
	return nil
}

func (m *memStore) Get(_ context.Context, key string, off, length int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[key]
	if !ok {
		return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	if off < 0 {
		off = max(0, int64(len(b))+off)
	}
	end := int64(len(b))
	if length >= 0 {
		end = min(end, off+length)
	}
	return b[min(off, end):end], nil
}

// world writes random but valid entries, as brokers would.
type world struct {
	rng      *rand.Rand
	rev      Revision
	gen      Extent
	sessions []SessionID
	lanes    map[SessionID]*[LaneCount]LaneSeq
	numbers  uint64
	topics   []TopicID
	pids     []ProducerID
	seqs     map[producerKey]Sequence
	state    *State // the one that returns outcomes
	members  bool   // groups of the consumer protocol too: the golden log has none
	storage  bool   // retention, archives, checkpoints, garbage too: the same
	onCommit func(*Entry, Outcome)
}

func newWorld(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 1)), rev: 1, gen: 1, lanes: map[SessionID]*[LaneCount]LaneSeq{},
		seqs: map[producerKey]Sequence{}, state: NewState()}
}

func (w *world) commit(t testing.TB, e *Entry) (CommittedEntry, Outcome) {
	t.Helper()
	w.rev += 1 + Revision(w.rng.IntN(3))
	lanes := w.lanes[e.Session]
	lanes[e.Lane]++
	e.Seq, e.Level, e.Time = lanes[e.Lane], 1, UnixMilli(1_700_000_000_000+int64(w.rev))
	b, err := AppendEntry(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	c := CommittedEntry{w.rev, w.gen, e.Session, e.Lane, e.Seq, b}
	out, _ := w.state.Apply(&c)
	if w.onCommit != nil {
		w.onCommit(e, out)
	}
	return c, out
}

func (w *world) openSession(t testing.TB, zone ZoneID) CommittedEntry {
	w.rev++
	id := SessionID(w.rev)
	w.lanes[id] = new([LaneCount]LaneSeq)
	w.sessions = append(w.sessions, id)
	c, out := w.commit(t, &Entry{Session: id, Commands: []Command{OpenSession{Want: NoBroker, Zone: zone, MinLevel: 1, MaxLevel: 1}}})
	if out.Code != CodeOK || out.Commands[0].Code != CodeOK {
		t.Fatalf("open: %+v", out)
	}
	return c
}

func (w *world) topicID() (id TopicID) {
	for i := range id {
		id[i] = byte(w.rng.Uint32())
	}
	return id
}

// step returns the next entry of a plausible history.
func (w *world) step(t testing.TB) CommittedEntry {
	zones := []ZoneID{"a", "b", "c"}
	route := Route{Broker: zones[w.rng.IntN(3)], Member: "a", Leader: zones[w.rng.IntN(3)], Followers: []ZoneID{"b", "c"}}
	if len(w.sessions) < 3 {
		return w.openSession(t, zones[len(w.sessions)])
	}
	session := w.sessions[w.rng.IntN(len(w.sessions))]
	control := func(c Command) CommittedEntry {
		out, _ := w.commit(t, &Entry{Session: session, Route: route, Commands: []Command{c}})
		return out
	}
	if len(w.topics) < 4 {
		id := w.topicID()
		w.topics = append(w.topics, id)
		return control(CreateTopic{ID: id, Name: "t" + id.String()[:6], Partitions: 8, ReplicationFactor: 3, Configs: map[string]string{"a": "b", "c": "d"}})
	}
	topic := w.topics[w.rng.IntN(len(w.topics))]
	switch n := w.rng.IntN(100); {
	case n < 8:
		return control(Tick{w.state.time + 1 + UnixMilli(w.rng.IntN(50_000)) + 1_700_000_000_000*UnixMilli(b2i(w.state.time == 0))})
	case n < 10:
		return control(RecordStateHash{})
	case n < 12:
		return control(TrimPartition{topic, Partition(w.rng.IntN(8)), Offset(w.rng.IntN(40))})
	case n < 14:
		c, out := w.commit(t, &Entry{Session: session, Route: route, Commands: []Command{AllocateProducers{3}}})
		w.pids = append(w.pids, ProducerID(out.Commands[0].Value))
		return c
	case n < 18:
		slot := GroupSlotRole(GroupSlot("g"))
		return control(ClaimRole{slot, w.state.RoleEpoch(slot) + 1})
	case n < 24:
		return control(CommitOffsets{"g", w.state.RoleEpoch(GroupSlotRole(GroupSlot("g"))), []OffsetCommit{{topic, Partition(w.rng.IntN(8)), 5, 0, "m", 7}}})
	case n < 27:
		return control(PutGroup{w.state.RoleEpoch(GroupSlotRole(GroupSlot("g"))), Group{Name: "g", Generation: int32(n), Members: []GroupMember{{ID: "m", Protocols: []GroupProtocol{{"range", []byte{1, 2}}}}}}})
	case n < 28:
		w.topics = deleteOne(w.topics, topic)
		return control(DeleteTopic{topic})
	case n < 30:
		return control(SetConfigs{ResourceTopic, topic.String(), map[string]string{"retention.ms": fmt.Sprint(n)}, []string{"a"}})
	case n < 32:
		return control(Usage{uint64(w.rev), 1, 2, []Cell{{CellKey{Topic: topic, Component: costkeys.ComponentGet, Src: "a", Group: "g"}, costkeys.Units(7)}}, false})
	case n < 34:
		w.gen++
	case w.storage && n < 52:
		return w.storageStep(t, n, session, topic)
	case w.members && n < 42:
		return control(w.memberStep(n, topic))
	}
	c, _ := w.commit(t, w.produce(session, topic, route))
	return c
}

// memberStep is a change of a group of the consumer protocol.
func (w *world) memberStep(n int, topic TopicID) Command {
	epoch := w.state.RoleEpoch(GroupSlotRole(GroupSlot("g")))
	group, id := "g", fmt.Sprint("m", w.rng.IntN(4))
	some := []PartitionRange{{topic, Partition(w.rng.IntN(3)), int32(1 + w.rng.IntN(3))}}
	switch n {
	case 34, 35:
		return PutMember{group, epoch, int32(w.rng.IntN(50)), ConsumerMember{ID: id, Topics: []string{"t"}, RebalanceTimeoutMs: 5}}
	case 36:
		return RemoveMembers{group, epoch, int32(w.rng.IntN(50)), []string{id}}
	case 37, 38:
		return SetAssignments{group, epoch, []MemberAssignment{{ID: id, Epoch: 3, State: MemberRevoking, Assigned: []HeldRange{{some[0], int32(w.rng.IntN(4))}}}}}
	case 39, 40:
		return SetTargets{group, epoch, 9, 8, []MemberTarget{{id, some}}}
	}
	return ExpireOffsets{group, epoch, 7, []TopicPartition{{topic, Partition(w.rng.IntN(8))}}}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func deleteOne(list []TopicID, id TopicID) (out []TopicID) {
	for _, t := range list {
		if t != id {
			out = append(out, t)
		}
	}
	return out
}

func (w *world) produce(session SessionID, topic TopicID, route Route) *Entry {
	e := &Entry{Session: session, Lane: LaneLow, Route: route, Topics: []TopicID{topic}, Principals: []string{"User:x"}}
	object := InlineObject
	if w.rng.IntN(2) == 0 {
		object = 0
		w.numbers++
		e.Objects = []ObjectRef{{ObjectName{session, LaneLow, w.numbers, 0}, 1 << 20, uint32(1 + w.rng.IntN(2))}}
		if w.rng.IntN(4) == 0 {
			e.Orphans = []ObjectRef{{ObjectName{session, LaneLow, w.numbers, 1}, int64(b2i(w.storage)) << 20, 1}}
		}
	}
	position := int64(0)
	for part := range 1 + w.rng.IntN(3) {
		p := Part{Topic: 0, Partition: Partition(part), Object: object, Position: position}
		for range 1 + w.rng.IntN(3) {
			r := Run{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: uint32(1 + w.rng.IntN(9)), Bytes: 100, MaxTimestamp: 1_700_000_000_000}
			if len(w.pids) > 0 && w.rng.IntN(2) == 0 {
				r.Producer, r.Epoch = w.pids[w.rng.IntN(len(w.pids))], 0
				k := producerKey{TopicPartition{topic, p.Partition}, r.Producer}
				r.FirstSequence = w.seqs[k]
				if w.rng.IntN(5) > 0 { // else the same again: a duplicate or a gap later
					w.seqs[k] = r.FirstSequence.Add(int64(r.Records))
				}
			}
			p.Runs = append(p.Runs, r)
			p.Length += 100
		}
		position += p.Length
		e.Parts = append(e.Parts, p)
	}
	if object == InlineObject {
		e.Inline = make([]byte, position)
	}
	return e
}

// A state that was written as a checkpoint and read back has the same hash,
// computed from every item, and stays equal: promise 2.
func TestCheckpointedStateGoesOnAsTheLiveOne(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(seed)
		store := newMemStore()
		var ckpt Checkpointer
		var loaded *State
		for i := range 600 {
			c := w.step(t)
			if loaded != nil {
				if loaded.Apply(&c); loaded.Hash() != w.state.Hash() {
					t.Fatalf("seed %d: hashes differ %d entries after the checkpoint", seed, i)
				}
			}
			if i%97 == 96 {
				key := CheckpointKey(1, w.state.revision, 1)
				body := ckpt.Encode(w.state.snapshot(), key)
				if err := store.Put(t.Context(), key, body); err != nil {
					t.Fatal(err)
				}
				ckpt.Commit()
				var err error
				if loaded, err = LoadCheckpoint(t.Context(), store, key); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
	}
}

// A snapshot does not change while the live state goes on.
func TestSnapshotDoesNotChange(t *testing.T) {
	w := newWorld(7)
	var snapshots []*State
	var bodies [][]byte
	encode := func(s *State) []byte { var c Checkpointer; return c.Encode(s, "k") }
	for i := range 800 {
		w.step(t)
		if i%100 == 50 {
			f := w.state.snapshot()
			snapshots, bodies = append(snapshots, f), append(bodies, encode(f))
		}
	}
	for i, f := range snapshots {
		if string(encode(f)) != string(bodies[i]) {
			t.Fatalf("snapshot %d changed", i)
		}
	}
}

// Cells sum to meters for every component, in any history: promise 10.
func TestLedgerCellsSumToMeters(t *testing.T) {
	w := newWorld(3)
	for range 2000 {
		w.step(t)
	}
	win := w.state.Ledger(0, w.state.time+1)
	sums := map[Component]Quantity{}
	for _, c := range win.Cells {
		sums[c.Key.Component] = sums[c.Key.Component].Add(c.Quantity)
	}
	if len(win.Meters) < 6 {
		t.Fatalf("only %d meters", len(win.Meters))
	}
	for _, m := range win.Meters {
		if sums[m.Key.Component] != m.Quantity {
			t.Errorf("%s: cells %v, meter %v", m.Key.Component, sums[m.Key.Component], m.Quantity)
		}
	}
}

// Two brokers that apply the same entries have the same state, refused entries
// included.
func TestApplyIsTheSameEverywhere(t *testing.T) {
	w := newWorld(11)
	other := NewState()
	refused := 0
	for i := range 1500 {
		c := w.step(t)
		other.Apply(&c)
		if i%50 == 49 { // damage: refused by all
			w.rev++
			w.lanes[c.Session][c.Lane]++
			c.Revision, c.Seq, c.Bytes = w.rev, c.Seq+1, append([]byte(nil), c.Bytes...)
			c.Bytes[len(c.Bytes)/2] ^= 1
			if out, _ := w.state.Apply(&c); out.Code != CodeRefused {
				t.Fatalf("damaged entry: %+v", out)
			}
			other.Apply(&c)
			refused++
		}
	}
	if w.state.Hash() != other.Hash() {
		t.Fatal("two brokers differ")
	}
	if n, _ := w.state.Alarms(); int(n) < refused {
		t.Fatalf("%d alarms for %d refused entries", n, refused)
	}
}
