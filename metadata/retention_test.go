package metadata

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// retentionWorld is a world with one topic of some partitions, whose records have the
// sizes and timestamps that a test gives.
type retentionWorld struct {
	*world
	t     *testing.T
	topic TopicID
}

func newRetentionWorld(t *testing.T, partitions int32, configs map[string]string) *retentionWorld {
	w := &retentionWorld{newWorld(1), t, TopicID{1}}
	w.openSession(t, "a")
	w.do1(t, Tick{1_700_000_000_000})
	w.do1(t, CreateTopic{ID: w.topic, Name: "t", Partitions: partitions, ReplicationFactor: 1, Configs: configs})
	return w
}

// write adds a span of 10 offsets; age is how old its newest record is, -1: it has no
// timestamp.
func (w *retentionWorld) write(p Partition, bytes uint32, age UnixMilli) {
	w.t.Helper()
	at := w.state.time - age
	if age < 0 {
		at = -1
	}
	_, out := w.commit(w.t, &Entry{Session: w.sessions[0], Lane: LaneLow, Topics: []TopicID{w.topic}, Principals: []string{""}, Inline: make([]byte, bytes),
		Parts: []Part{{Partition: p, Object: InlineObject, Length: int64(bytes), Runs: []Run{{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 10, Bytes: bytes, MaxTimestamp: at}}}}})
	if out.Parts[0][0].Code != CodeOK {
		w.t.Fatal(out)
	}
}

// enforce enforces retention on every partition, and returns how many spans it deleted.
func (w *retentionWorld) enforce() int64 {
	w.t.Helper()
	var c EnforceRetention
	for p := range Partition(w.state.topics.get(w.topic).Partitions) {
		c.Partitions = append(c.Partitions, TopicPartition{w.topic, p})
	}
	_, out := w.commit(w.t, &Entry{Session: w.sessions[0], Commands: []Command{c}})
	return out.Commands[0].Value
}

func (w *retentionWorld) head(p Partition) PartitionView {
	v, _ := w.state.Partition(TopicPartition{w.topic, p})
	return v
}

// due returns the partitions that the index nominates.
func (w *retentionWorld) due(minAge UnixMilli) (out []TopicPartition) {
	for n := range w.state.ExpiringTopics() {
		out = w.state.ExpiredPartitions(out, n, minAge, 1000)
	}
	return out
}

// What remains is always at least retention.bytes, and with the next span it would not
// be.
func TestSizeRetentionIsKafkasPrefixRule(t *testing.T) {
	for limit, want := range map[int64]Offset{-1: 0, 1000: 0, 999: 0, 900: 10, 850: 10, 800: 20, 1: 90, 0: 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			w := newRetentionWorld(t, 1, map[string]string{"retention.bytes": fmt.Sprint(limit), "retention.ms": "-1"})
			for range 10 {
				w.write(0, 100, 0)
			}
			if got := len(w.due(0)); got != b2i(want > 0) {
				t.Errorf("%d partitions are nominated", got)
			}
			w.enforce()
			if v := w.head(0); v.LogStart != want || v.Bytes != 1000-10*int64(want) || v.Spans != 10-int(want)/10 {
				t.Errorf("%+v, want log start %d", v, want)
			}
			if again := w.enforce(); again != 0 || len(w.due(0)) != 0 {
				t.Errorf("%d spans were deleted by a second look; %v is nominated", again, w.due(0))
			}
		})
	}
}

// By time only the first span counts: a younger one in front keeps what is older, and an
// older one behind a deleted one goes with it.
func TestTimeRetentionIsKafkasPrefixRule(t *testing.T) {
	const hour = 3_600_000
	for name, c := range map[string]struct {
		ages []UnixMilli
		want Offset
	}{
		"all young":             {[]UnixMilli{3, 2, 1}, 0},
		"two old":               {[]UnixMilli{2 * hour, hour + 1, hour, 1}, 20},
		"a young one in front":  {[]UnixMilli{1, 2 * hour, 2 * hour}, 0},
		"all old":               {[]UnixMilli{2 * hour, 3 * hour}, 20},
		"in the future":         {[]UnixMilli{-5 * hour * 1000, 2 * hour}, 0},
		"an old one and future": {[]UnixMilli{2 * hour, -5, 2 * hour}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRetentionWorld(t, 1, map[string]string{"retention.ms": fmt.Sprint(hour)})
			for _, age := range c.ages {
				if age == -5 || age < -1 {
					age *= -1
					w.state.time += age
					w.write(0, 100, 0)
					w.state.time -= age
					continue
				}
				w.write(0, 100, age)
			}
			w.enforce()
			if v := w.head(0); v.LogStart != c.want {
				t.Errorf("log start %d, want %d", v.LogStart, c.want)
			}
		})
	}
}

// A changed config counts from its entry on, both ways, and without one the brokers'
// default counts, or Kafka's.
func TestRetentionFollowsTheConfigs(t *testing.T) {
	w := newRetentionWorld(t, 1, nil)
	set := func(kind ResourceKind, name string, set map[string]string, drop ...string) {
		w.do1(t, SetConfigs{kind, name, set, drop})
	}
	topic := w.topic.String()
	expect := func(what string, want Retention) {
		t.Helper()
		if got := w.state.Retention(w.state.topics.get(w.topic)); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	expect("default", Retention{DefaultRetentionTime, -1})
	set(ResourceBroker, "", map[string]string{"log.retention.ms": "5", "log.retention.bytes": "0"})
	expect("the brokers'", Retention{5, 0})
	set(ResourceTopic, topic, map[string]string{"retention.ms": "100000"})
	expect("the topic's", Retention{100_000, 0})
	w.write(0, 100, 50_000)
	if w.enforce() != 1 {
		t.Error("the brokers' retention.bytes was not enforced")
	}
	set(ResourceTopic, topic, map[string]string{"retention.bytes": "-1"})
	w.write(0, 100, 50_000)
	if w.enforce() != 0 {
		t.Error("a span was deleted that the newest configs keep")
	}
	set(ResourceTopic, topic, map[string]string{"retention.ms": "1000"})
	if w.enforce() != 1 {
		t.Error("a span was kept that the newest configs delete")
	}
	for policy, want := range map[string]Retention{"compact": {-1, -1}, "": {-1, -1}, "compact,delete": {1000, -1}, "delete": {1000, -1}} {
		set(ResourceTopic, topic, map[string]string{"cleanup.policy": policy})
		expect("policy "+policy, want)
	}
}

// Records without timestamps have the time of their commit, or a little later.
func TestRecordsWithoutTimeHaveThatOfTheirCommit(t *testing.T) {
	w := newRetentionWorld(t, 1, map[string]string{"retention.ms": "3600000"})
	w.write(0, 100, -1)
	committed := w.state.time
	for w.head(0).LogStart == 0 {
		w.do1(t, Tick{w.state.time + 5000})
		w.enforce()
		if w.state.time > committed+2*3_600_000 {
			t.Fatal("it is never deleted")
		}
	}
	if age := w.state.time - committed; age <= 3_600_000 || age > 3_600_000*49/48+10_000 {
		t.Errorf("deleted after %d ms", age)
	}
}

// Years of ticks leave few commit times, and each is at most a 48th of its age late.
func TestCommitTimesStayFew(t *testing.T) {
	s := NewState()
	var all []commitTime
	for i := range 500_000 {
		s.revision += 3
		s.time += 20_000
		s.recordCommitTime()
		if i%1000 == 0 {
			all = append(all, commitTime{s.revision - 1, s.time})
		}
	}
	if n := len(s.commitTimes); n > maxCommitTimes {
		t.Errorf("%d are kept", n)
	}
	for _, c := range all {
		got, age := s.commitTimeOf(c.revision), s.time-c.time
		if got < c.time || got-c.time > age/47+20_000 {
			t.Fatalf("a commit %d ms ago is said to be of %d ms later", age, got-c.time)
		}
	}
}

// Of a partition that is trimmed by thousands of spans, no entry releases more than it
// may, readers see the new log start at once, and its size is not judged meanwhile.
func TestATrimIsReleasedACountedNumberAtATime(t *testing.T) {
	w := newRetentionWorld(t, 2, map[string]string{"retention.bytes": "250000", "retention.ms": "-1"})
	for range 3000 {
		w.write(0, 100, 0)
	}
	w.do1(t, TrimPartition{w.topic, 0, 29_000})
	if v := w.head(0); v.LogStart != 29_000 || v.Spans < 2900 || w.state.QueuedReleases() != 1 {
		t.Fatalf("%+v, %d queued", v, w.state.QueuedReleases())
	}
	if w.enforce() != 0 {
		t.Error("a partition was judged by a size with released spans in it")
	}
	w.do1(t, DeleteTopic{w.topic})
	if _, ok := w.state.Partition(TopicPartition{w.topic, 0}); ok || w.state.livePartitions() != 0 {
		t.Error("a deleted topic's partition is there")
	}
	entries := 0
	for w.state.QueuedReleases() > 0 {
		before := w.state.spans
		w.do1(t, ReleaseQueued{200})
		if released := before - w.state.spans; released > 200 {
			t.Fatalf("%d spans were released at once", released)
		}
		entries++
	}
	if entries < 15 || w.state.spans != 0 || w.state.partitions.count != 0 || w.state.liveBytes != 0 {
		t.Errorf("%d entries; %d spans, %d partitions, %d bytes are left", entries, w.state.spans, w.state.partitions.count, w.state.liveBytes)
	}
}

// The role finds what expires without being told: by size as it grows, by time as it
// passes, after a config was lowered, and whatever was trimmed.
func TestTheRetentionRoleDeletesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		log.Latency = time.Millisecond
		b := startBroker(t, log, store, "a", 1)
		topic := TopicID{1}
		submit := func(c Command) {
			t.Helper()
			if out, err := b.sub.Submit(t.Context(), []Command{c}, nil); err != nil || out.Commands[0].Code != CodeOK {
				t.Fatalf("%+v %v", out, err)
			}
		}
		submit(CreateTopic{topic, "t", 3, 3, map[string]string{"retention.ms": "600000", "retention.bytes": "-1"}})
		time.Sleep(20 * time.Second) // state time begins
		write := func(p Partition, n int) {
			for range n {
				b.produceInline(TopicPartition{topic, p}, make([]byte, 100), UnixMilli(time.Now().UnixMilli()))
			}
		}
		spans := func(p Partition) (n int) {
			b.r.View(func(s *State) { v, _ := s.Partition(TopicPartition{topic, p}); n = v.Spans })
			return n
		}
		write(0, 50)
		write(1, 50)
		time.Sleep(5 * time.Minute)
		if spans(0) != 50 || spans(1) != 50 {
			t.Errorf("%d and %d spans before their time", spans(0), spans(1))
		}
		submit(SetConfigs{ResourceTopic, topic.String(), map[string]string{"retention.bytes": "1000"}, nil})
		time.Sleep(5 * time.Second)
		if spans(0) != 10 || spans(1) != 10 {
			t.Errorf("%d and %d spans after retention.bytes was lowered", spans(0), spans(1))
		}
		write(2, 50)
		time.Sleep(5 * time.Second)
		if spans(2) != 10 {
			t.Errorf("%d spans of a partition that grew", spans(2))
		}
		time.Sleep(6 * time.Minute)
		if spans(0) != 0 || spans(1) != 0 || spans(2) != 10 {
			t.Errorf("%d, %d and %d spans after eleven minutes", spans(0), spans(1), spans(2))
		}
		b.stop()
	})
}

func TestPoliciesAreTheTopicsOrTheBrokersDefault(t *testing.T) {
	w := newRetentionWorld(t, 1, nil)
	check := func(own map[string]string, compacts, deletes bool) {
		t.Helper()
		topic := &Topic{ID: w.topic, Configs: own}
		if got := [2]bool{w.state.HasPolicy(topic, "compact"), w.state.HasPolicy(topic, "delete")}; got != [2]bool{compacts, deletes} {
			t.Errorf("%v compacts and deletes: %v", own, got)
		}
	}
	check(nil, false, true)
	check(map[string]string{"cleanup.policy": "compact"}, true, false)
	check(map[string]string{"cleanup.policy": "delete, compact"}, true, true)
	check(map[string]string{"cleanup.policy": ""}, false, false)
	w.do1(t, SetConfigs{Resource: ResourceBroker, Set: map[string]string{"log.cleanup.policy": "compact"}})
	check(nil, true, false)
	check(map[string]string{"cleanup.policy": "delete"}, false, true)
}
