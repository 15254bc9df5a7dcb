package metadata

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// epochWorld is a state beside one that is loaded from a checkpoint now and then, and
// beside what the rule says: a partition's epoch rises when its leader moves in some
// zone.
type epochWorld struct {
	*world
	t      *testing.T
	hosts  *rand.Rand
	first  SessionID
	loaded *State
	want   map[TopicPartition]LeaderEpoch
	moves  int
}

var epochZones = []ZoneID{UnknownZone, "a", "b", "c"}

func newEpochWorld(t *testing.T, seed uint64) *epochWorld {
	w := &epochWorld{world: newWorld(seed), t: t, hosts: rand.New(rand.NewPCG(seed, 24)), loaded: NewState(), want: map[TopicPartition]LeaderEpoch{}}
	w.first = w.open(100)
	w.do(w.first, Tick{1_700_000_000_000})
	return w
}

// do commits commands to both states, and raises what the rule says.
func (w *epochWorld) do(by SessionID, list ...Command) {
	w.t.Helper()
	old := w.state.Placement()
	c, out := w.commit(w.t, &Entry{Session: by, Commands: list})
	if out.Code != CodeOK || out.Commands[0].Code != CodeOK {
		w.t.Fatalf("%+v", out)
	}
	w.loaded.Apply(&c)
	now := w.state.Placement()
	if now == old || len(old.brokers) == 0 {
		return
	}
	for tp := range w.want {
		for _, z := range epochZones {
			if old.Leader(tp, z) != now.Leader(tp, z) {
				w.want[tp]++
				w.moves++
				break
			}
		}
	}
}

func (w *epochWorld) open(host int) SessionID {
	w.t.Helper()
	w.rev++
	id := SessionID(w.rev)
	w.lanes[id] = new([LaneCount]LaneSeq)
	zone := ZoneID(rune('a' + (host+w.hosts.IntN(20)/19)%3)) // a host comes back in another zone at times
	w.do(id, OpenSession{Want: NoBroker, Zone: zone, Kafka: Address{fmt.Sprint("h", host), 9092}, MinLevel: 1, MaxLevel: 1})
	return id
}

func (w *epochWorld) createTopic(id TopicID, partitions int32) {
	w.t.Helper()
	w.do(w.first, CreateTopic{ID: id, Name: id.String(), Partitions: partitions, ReplicationFactor: 1})
	for p := range Partition(partitions) {
		w.want[TopicPartition{id, p}] = 0
	}
}

// change changes the sessions in some way, the first one's too.
func (w *epochWorld) change() {
	w.t.Helper()
	ids := sortedKeys(w.state.sessions)
	id := ids[w.hosts.IntN(len(ids))]
	switch w.hosts.IntN(4) {
	case 0, 1:
		w.open(w.hosts.IntN(9)) // a host that has a session replaces it
	case 2:
		w.do(id, DrainSession{})
	default:
		if id != w.first {
			w.do(w.first, CloseSession{id})
		}
	}
}

// check compares every partition of both states with the rule.
func (w *epochWorld) check(step int) {
	w.t.Helper()
	if w.hosts.IntN(5) == 0 {
		w.loaded = reload(w.t, w.loaded)
	}
	if w.loaded.Hash() != w.state.Hash() {
		w.t.Fatalf("step %d: the state from a checkpoint differs", step)
	}
	for tp, want := range w.want {
		for _, s := range []*State{w.state, w.loaded} {
			if got, _ := s.Partition(tp); got.Epoch != want {
				w.t.Fatalf("step %d: partition %v has epoch %d, want %d", step, tp, got.Epoch, want)
			}
		}
	}
}

// Epochs are exactly those of the rule, however far the rows have what moved them,
// and whether a state was loaded from a checkpoint.
func TestLeaderEpochsAreThoseOfTheRule(t *testing.T) {
	partly, folded := 0, 0
	for seed := range uint64(12) {
		w := newEpochWorld(t, seed)
		w.createTopic(TopicID{1}, 1500)
		recovered := false
		for step := range 70 {
			switch w.hosts.IntN(9) {
			case 0, 1:
				w.do(w.first, Tick{w.state.time + 5_000})
			case 2:
				w.createTopic(TopicID{2, byte(step)}, 20)
			case 3:
				if step > 20 && !recovered {
					recovered = true
					for _, id := range sortedKeys(w.state.sessions) { // each is a change of its own
						if id != w.first {
							w.do(w.first, CloseSession{id})
						}
					}
					w.do(w.first, RecoverCluster{Incarnation: w.first.Incarnation()})
					for tp := range w.want {
						w.want[tp] += recoveryEpochJump
					}
				}
			default:
				w.change()
			}
			w.check(step)
			if w.state.epochs.page > 0 {
				partly++
			}
		}
		for range 200 {
			w.do(w.first, Tick{w.state.time + 5_000})
		}
		w.check(-1)
		if e := &w.state.epochs; e.done != e.changes || len(e.kept) != 0 {
			t.Errorf("seed %d: %d of %d changes are in the rows, %d are kept", seed, e.done, e.changes, len(e.kept))
		}
		for tp, want := range w.want {
			if p := w.state.partitions.get(tp); p.epoch == want {
				folded++
			}
		}
		if w.moves == 0 {
			t.Errorf("seed %d: no leader moved", seed)
		}
	}
	if partly < 10 || folded == 0 {
		t.Errorf("%d checks were in the middle of a cycle, %d rows have their epoch", partly, folded)
	}
}

// Where there are more changes than are kept, epochs still rise with every move and
// never fall.
func TestLeaderEpochsRiseBeyondTheChangesThatAreKept(t *testing.T) {
	w := newEpochWorld(t, 5)
	w.createTopic(TopicID{1}, 200)
	last := map[TopicPartition]LeaderEpoch{}
	for step := range 4 * maxPlacementChanges {
		before := w.state.Placement()
		w.change()
		if step%50 == 49 {
			w.do(w.first, Tick{w.state.time + 5_000})
		}
		if w.loaded = reload(t, w.loaded); w.loaded.Hash() != w.state.Hash() {
			t.Fatalf("step %d: the state from a checkpoint differs", step)
		}
		for tp := range w.want {
			v, _ := w.state.Partition(tp)
			moved := len(before.brokers) > 0 && before.Leader(tp, "a") != w.state.Placement().Leader(tp, "a")
			if v.Epoch < last[tp] || moved && v.Epoch == last[tp] {
				t.Fatalf("step %d: epoch %d after %d, moved %v", step, v.Epoch, last[tp], moved)
			}
			last[tp] = v.Epoch
		}
	}
	if len(w.state.epochs.kept) > maxPlacementChanges {
		t.Errorf("%d changes are kept", len(w.state.epochs.kept))
	}
}

// A change of the placement touches no partition, and a tick a bounded number.
func TestAChangeOfThePlacementTouchesNoPartition(t *testing.T) {
	w := newEpochWorld(t, 1)
	for i := range byte(10) {
		w.createTopic(TopicID{1, i}, 2000)
	}
	changed := func(do func()) (pages int) {
		before := w.state.snapshot()
		do()
		for i := range tablePages {
			if w.state.partitions.pages[i] != before.partitions.pages[i] {
				pages++
			}
		}
		return pages
	}
	if n := changed(func() { w.open(1) }); n != 0 {
		t.Errorf("a join changed %d pages of the partitions", n)
	}
	for ticks := 1; w.state.epochs.done < w.state.epochs.changes; ticks++ {
		if n := changed(func() { w.do(w.first, Tick{w.state.time + 5_000}) }); n == 0 || n > tablePages/4 || ticks > 100 {
			t.Fatalf("tick %d changed %d pages", ticks, n)
		}
	}
	w.check(0)
	if n := changed(func() { w.do(w.first, Tick{w.state.time + 5_000}) }); n != 0 {
		t.Errorf("a tick with nothing to do changed %d pages", n)
	}
}
