package metadata

import (
	"maps"
	"slices"
	"testing"
)

// pastModel keeps former placements like the state, in the simplest way.
type pastModel struct {
	now  *Placement
	past []pastPlacement
}

func (m *pastModel) recordLeaders(s *State) {
	if p := s.Placement(); p != m.now {
		if m.now != nil && len(m.now.brokers) > 0 {
			m.past = append(m.past, pastPlacement{m.now, s.Revision(), s.Time()})
		}
		m.now = p
	}
}

// Every leader of a partition for the clients of a zone, under any placement that
// is kept, is returned: after several changes in a row, by a broker that read a
// checkpoint in between, and for brokers that are not the zone's leader.
func TestFormerLeadersAreThoseOfEveryPlacementSince(t *testing.T) {
	for seed := range uint64(20) {
		w, m := newWorld(seed), &pastModel{}
		zones := []ZoneID{"a", "b", "c"}
		control := func(id SessionID, c Command) {
			if _, out := w.commit(t, &Entry{Session: id, Commands: []Command{c}}); out.Code != CodeOK || out.Commands[0].Code != CodeOK {
				t.Fatalf("%T: %+v", c, out)
			}
		}
		for step := range 120 {
			switch n := w.rng.IntN(10); {
			case len(w.sessions) < 2 || n < 3 && len(w.sessions) < 7:
				w.openSession(t, zones[w.rng.IntN(3)])
				if w.state.Time() == 0 {
					control(w.sessions[0], Tick{1_700_000_000_000})
				}
			case n < 5:
				i := w.rng.IntN(len(w.sessions) - 1)
				control(w.sessions[len(w.sessions)-1], CloseSession{Session: w.sessions[i]})
				w.sessions = slices.Delete(w.sessions, i, i+1)
			case n < 6:
				control(w.sessions[w.rng.IntN(len(w.sessions))], DrainSession{})
			default:
				control(w.sessions[0], Tick{w.state.Time() + 1 + UnixMilli(w.rng.IntN(int(MaxTickStep)))})
			}
			m.recordLeaders(w.state)
			if step%30 == 29 { // continue from a checkpoint
				w.state = reload(t, w.state)
				m.now = w.state.Placement()
			}
			m.check(t, w.state, TopicPartition{TopicID{1, byte(step)}, Partition(step % 7)})
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, step)
			}
		}
	}
}

func (m *pastModel) check(t *testing.T, s *State, tp TopicPartition) {
	t.Helper()
	for _, zone := range append([]ZoneID{UnknownZone, "nowhere"}, s.Zones()...) {
		for self := range BrokerID(9) {
			want := map[BrokerID]Revision{m.now.Leader(tp, zone): s.Revision()}
			for _, p := range m.past {
				if b := p.placement.Leader(tp, zone); s.Time()-p.replacedAt < placementMemory {
					want[b] = max(want[b], p.replacedBy)
				}
			}
			delete(want, self)
			delete(want, NoBroker)
			got, whole := s.FormerLeaders(tp, zone, self)
			have := map[BrokerID]Revision{}
			for _, f := range got {
				have[f.Broker] = f.Until
			}
			if !maps.Equal(have, want) || !whole {
				t.Errorf("broker %d, zone %q: former leaders %v, whole %v; want %v", self, zone, have, whole, want)
			}
		}
	}
}

// reload returns the state as read from a checkpoint.
func reload(t *testing.T, s *State) *State {
	t.Helper()
	store := newMemStore()
	store.objects["k"] = new(Checkpointer).Encode(s.snapshot(), "k")
	again, err := LoadCheckpoint(t.Context(), store, "k")
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// If there were more changes than are kept, that is reported, until the oldest
// would be too old anyway; also by a state from a checkpoint.
func TestPlacementsAreRememberedUpToALimit(t *testing.T) {
	w := newWorld(1)
	w.openSession(t, "a")
	first := w.sessions[0]
	control := func(c Command) { w.commit(t, &Entry{Session: first, Commands: []Command{c}}) }
	control(Tick{1_700_000_000_000})
	for range maxPastPlacements {
		w.openSession(t, "b")
		control(Tick{w.state.Time() + 1})
		control(CloseSession{Session: w.sessions[len(w.sessions)-1]})
	}
	whole := func() bool {
		_, live := w.state.FormerLeaders(TopicPartition{}, "b", 0)
		_, loaded := reload(t, w.state).FormerLeaders(TopicPartition{}, "b", 0)
		if live != loaded {
			t.Errorf("whole: live %v, from a checkpoint %v", live, loaded)
		}
		return live
	}
	if len(w.state.pastPlacements) != maxPastPlacements || whole() {
		t.Errorf("%d placements are remembered, whole %v", len(w.state.pastPlacements), whole())
	}
	for to := w.state.Time() + placementMemory; w.state.Time() < to; {
		control(Tick{w.state.Time() + MaxTickStep})
	}
	if from, _ := w.state.FormerLeaders(TopicPartition{}, "b", 0); !whole() || len(from) != 0 {
		t.Errorf("after %d ms: whole %v, %v", placementMemory, whole(), from)
	}
	w.openSession(t, "b")
	if len(w.state.pastPlacements) != 1 || w.state.pastPlacementsCut != 0 || reload(t, w.state).Hash() != w.state.Hash() {
		t.Errorf("%d placements, cut %d", len(w.state.pastPlacements), w.state.pastPlacementsCut)
	}
}

// A broker that drains and starts again at its address before its old session has
// ended becomes the leader of its partitions anew: their epochs rise.
func TestEpochsRiseWhenADrainedBrokerComesBack(t *testing.T) {
	w := newWorld(3)
	w.openSession(t, "a")
	w.commit(t, &Entry{Session: w.sessions[0], Commands: []Command{Tick{1_700_000_000_000}, CreateTopic{ID: TopicID{1}, Name: "t", Partitions: 20, ReplicationFactor: 1}}})
	open := func() SessionID {
		w.rev++
		id := SessionID(w.rev)
		w.lanes[id] = new([LaneCount]LaneSeq)
		w.commit(t, &Entry{Session: id, Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", Kafka: Address{"h", 9}, MinLevel: 1, MaxLevel: 1}}})
		return id
	}
	epochs := func() (sum LeaderEpoch) {
		for p := range Partition(20) {
			v, _ := w.state.Partition(TopicPartition{TopicID{1}, p})
			sum += v.Epoch
		}
		return sum
	}
	second := open()
	joined := epochs()
	if w.commit(t, &Entry{Session: second, Commands: []Command{DrainSession{}}}); epochs() == joined {
		t.Fatal("no epoch rose when it drained")
	}
	left := epochs()
	open()
	if back := epochs(); back-left != left-joined {
		t.Errorf("epochs rose by %d when it drained, and by %d when it came back", left-joined, back-left)
	}
	if again := epochs(); open() == 0 || epochs() != again {
		t.Errorf("epochs rose by %d where a session only takes its former one's place", epochs()-again)
	}
}
