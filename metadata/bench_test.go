package metadata

import "testing"

// bigState has the size of the design's budget: partitions, and producers on
// each.
func bigState(b testing.TB, partitions, producersEach int) (*State, *benchLog) {
	l := &benchLog{s: NewState(), topic: TopicID{1}}
	l.commit(b, &Entry{Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1}}})
	for i := range 1 + (partitions-1)/MaxPartitionsPerTopic {
		n := min(partitions-i*MaxPartitionsPerTopic, MaxPartitionsPerTopic)
		l.commit(b, &Entry{Commands: []Command{CreateTopic{TopicID{byte(i + 1)}, string(rune('a' + i)), int32(n), 3, nil}}})
	}
	l.commit(b, &Entry{Commands: []Command{AllocateProducers{int32(producersEach)}}})
	l.partitions = partitions
	for p := range producersEach {
		for at := 0; at < partitions; at += 1000 {
			l.commit(b, l.produce(at, min(1000, partitions-at), ProducerID(p+1), 0))
		}
	}
	return l.s, l
}

type benchLog struct {
	s          *State
	rev        Revision
	seq        LaneSeq
	number     uint64
	partitions int
	topic      TopicID
	rounds     int // of a benchmark that goes on with one producer
}

func (l *benchLog) commit(b testing.TB, e *Entry) CommittedEntry {
	l.rev++
	l.seq++
	e.Level, e.Session, e.Seq = 1, 1, l.seq
	body, err := AppendEntry(nil, e)
	if err != nil {
		b.Fatal(err)
	}
	c := CommittedEntry{l.rev, 1, 1, LaneControl, l.seq, body}
	if out, _ := l.s.Apply(&c); out.Code != CodeOK {
		b.Fatalf("%+v", out)
	}
	return c
}

// produce is one object with a run of one producer in each of n partitions.
func (l *benchLog) produce(at, n int, id ProducerID, first Sequence) *Entry {
	l.number++
	e := &Entry{Principals: []string{"User:x"}, Objects: []ObjectRef{{ObjectName{1, LaneControl, l.number, 0}, int64(n) * 16384, 1}}}
	for i := range n {
		p := at + i
		topic := TopicID{byte(p/MaxPartitionsPerTopic + 1)}
		if len(e.Topics) == 0 || e.Topics[len(e.Topics)-1] != topic {
			e.Topics = append(e.Topics, topic)
		}
		e.Parts = append(e.Parts, Part{Topic: len(e.Topics) - 1, Partition: Partition(p % MaxPartitionsPerTopic), Position: int64(i) * 16384, Length: 16384,
			Runs: []Run{{Producer: id, FirstSequence: first, Batches: 1, Records: 16, Bytes: 16384}}})
	}
	return e
}

// Runs applied per second on one core: the governor allows a third of it.
func BenchmarkApplyRuns(b *testing.B) {
	s, l := bigState(b, 20_000, 5)
	const perEntry = 1000
	runs, first := 0, Sequence(0)
	for b.Loop() {
		b.StopTimer()
		first += 16
		var entries []CommittedEntry
		for at := 0; at < 20_000; at += perEntry {
			l.seq++
			l.rev++
			e := l.produce(at, perEntry, 1, first)
			e.Level, e.Session, e.Seq = 1, 1, l.seq
			body, err := AppendEntry(nil, e)
			if err != nil {
				b.Fatal(err)
			}
			entries = append(entries, CommittedEntry{l.rev, 1, 1, LaneControl, l.seq, body})
		}
		b.StartTimer()
		for i := range entries {
			if out, _ := s.Apply(&entries[i]); out.Code != CodeOK || out.Parts[0][0].Code != CodeOK {
				b.Fatalf("%+v", out)
			}
			runs += perEntry
		}
	}
	b.ReportMetric(float64(runs)/b.Elapsed().Seconds(), "runs/s")
}

// How long a snapshot of a state of budget size stops apply.
func BenchmarkSnapshot(b *testing.B) {
	s, _ := bigState(b, 20_000, 25)
	for b.Loop() {
		s.snapshot()
	}
}

// How long the whole state takes to encode, while apply goes on.
func BenchmarkEncodeCheckpoint(b *testing.B) {
	s, _ := bigState(b, 20_000, 25)
	f := s.snapshot()
	b.ReportAllocs()
	for b.Loop() {
		var c Checkpointer
		b.SetBytes(int64(len(c.Encode(f, "k"))))
	}
}

// A checkpoint after one more span in each of 300 partitions of 3,000 spans, the
// pages that are written again at times included.
func BenchmarkCheckpointOfBusyPartitions(b *testing.B) {
	l := newSpanLog(b, 300)
	l.add(b, 2999)
	var c Checkpointer
	c.Encode(l.s.snapshot(), CheckpointKey(1, l.s.revision, 1))
	c.Commit()
	written := 0
	for b.Loop() {
		b.StopTimer()
		l.add(b, 1)
		f := l.s.snapshot()
		b.StartTimer()
		written += len(c.Encode(f, CheckpointKey(1, f.revision, 1)))
		c.Commit()
	}
	b.ReportMetric(float64(written)/float64(b.N)/1e6, "MB/op")
}

// The codec's cost for an entry of one command, as group commits are, and for an
// entry of every command.
func BenchmarkEncodeCommands(b *testing.B) {
	for name, e := range benchEntries() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var body []byte
			for b.Loop() {
				var err error
				if body, err = AppendEntry(body[:0], e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeCommands(b *testing.B) {
	for name, e := range benchEntries() {
		body, err := AppendEntry(nil, e)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var got Entry
			for b.Loop() {
				if err := DecodeEntry(body, &got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchEntries() map[string]*Entry {
	one := Entry{Level: 1, Session: 1, Seq: 1, Commands: []Command{CommitOffsets{"group", 4, []OffsetCommit{{TopicID{1}, 1, 5, -1, "m", 6}}}}}
	return map[string]*Entry{"one": &one, "every": sampleEntry()}
}
