package metadata

import "testing"

// A broker that starts again at its address gets its id again, also while its
// former session is open, and no other broker gets it meanwhile.
func TestABrokerKeepsItsIDWithItsAddress(t *testing.T) {
	w := newWorld(1)
	w.openSession(t, "a") // one without an address has whatever is free
	w.do1(t, Tick{1_700_000_000_000})
	open := func(host string, want BrokerID) (SessionID, CommandOutcome) {
		w.rev++
		id := SessionID(w.rev)
		w.lanes[id] = new([LaneCount]LaneSeq)
		_, out := w.commit(t, &Entry{Session: id, Commands: []Command{OpenSession{Want: want, Zone: "a", Kafka: Address{host, 9092}, MinLevel: 1, MaxLevel: 1}}})
		return id, out.Commands[0]
	}
	is := func(out CommandOutcome, want BrokerID) {
		t.Helper()
		if out.Code != CodeOK || BrokerID(out.Value) != want {
			t.Fatalf("%+v, want id %d", out, want)
		}
	}
	first, out := open("h1", NoBroker)
	is(out, 1)
	h2, out := open("h2", NoBroker)
	is(out, 2)
	epoch := func() LeaderEpoch { p, _ := w.state.Partition(w.tp0(t)); return p.Epoch }
	before := epoch()
	again, out := open("h1", NoBroker) // killed and started: the old session is still open
	is(out, 1)
	if _, ok := w.state.Session(first); ok {
		t.Fatal("the former session is open beside the new one")
	}
	if epoch() != before {
		t.Fatal("a leader epoch rose though no hint moved")
	}
	w.do1(t, CloseSession{again})
	w.do1(t, CloseSession{h2})
	_, out = open("h3", NoBroker) // another address
	is(out, 3)
	_, out = open("h2", NoBroker)
	is(out, 2)
	if _, out := open("h4", 3); out.Code != CodeBrokerIDTaken {
		t.Fatalf("%+v", out)
	}
	for range 61 {
		w.do1(t, Tick{w.state.time + 60_000})
	}
	_, out = open("h5", NoBroker) // an hour later no client is connected any more
	is(out, 1)
	var c Checkpointer
	store := newMemStore()
	if err := store.Put(t.Context(), "k", c.Encode(w.state.snapshot(), "k")); err != nil {
		t.Fatal(err)
	}
	if loaded, err := LoadCheckpoint(t.Context(), store, "k"); err != nil || len(loaded.brokerIDs) != len(w.state.brokerIDs) {
		t.Fatalf("%v, %d homes of %d", err, len(loaded.brokerIDs), len(w.state.brokerIDs))
	}
}

// do1 commits one command of the first session.
func (w *world) do1(t *testing.T, c Command) {
	t.Helper()
	if _, out := w.commit(t, &Entry{Session: w.sessions[0], Commands: []Command{c}}); out.Code != CodeOK || out.Commands[0].Code != CodeOK {
		t.Fatalf("%+v: %+v", c, out)
	}
}

// tp0 is a partition of an existing topic.
func (w *world) tp0(t *testing.T) TopicPartition {
	t.Helper()
	if len(w.topics) == 0 {
		id := w.topicID()
		w.topics = append(w.topics, id)
		w.do1(t, CreateTopic{ID: id, Name: "t", Partitions: 1, ReplicationFactor: 3})
	}
	return TopicPartition{w.topics[0], 0}
}
