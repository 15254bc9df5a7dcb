package metadata

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// The benchmarks of this file show for how long the largest entries of each kind
// stop apply, at the limits of the state: docs/benchmarks.md has their figures, and
// the counts of items that an entry may have are chosen by them (MaxApplyTime).

// cpuTime is the processor time of the calling thread: the machine is shared, and what
// others run is no part of an entry's work.
func cpuTime() time.Duration {
	var t syscall.Timespec
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&t)), 0)
	return time.Duration(t.Nano())
}

// pauses are the times that the entries of each kind took, in order.
type pauses map[string][]time.Duration

// apply applies an entry after a snapshot, so that every page that it changes has to
// be copied, and notes how long it took.
func (p pauses) apply(b *testing.B, l *benchLog, kind string, e *Entry) Outcome {
	b.Helper()
	c := l.encode(b, e)
	l.s.snapshot()
	start := cpuTime()
	out, _ := l.s.Apply(&c)
	took := cpuTime() - start
	if out.Code != CodeOK {
		b.Fatalf("%s: %+v", kind, out)
	}
	p[kind] = append(p[kind], took)
	return out
}

// reportPauses reports the longest pause of each kind. Of an entry the shortest time
// of several walks counts: other work on the machine only adds to it.
func reportPauses(b *testing.B, walk func() pauses) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := pauses{}
	for b.Loop() {
		for kind, took := range walk() {
			if least[kind] == nil {
				least[kind] = took
			}
			for i := range min(len(took), len(least[kind])) {
				least[kind][i] = min(least[kind][i], took[i])
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for kind, took := range least {
		b.ReportMetric(float64(slices.Max(took).Microseconds())/1000, kind+"-ms")
	}
}

// encode makes the next entry of the log.
func (l *benchLog) encode(b testing.TB, e *Entry) CommittedEntry {
	l.rev++
	l.seq++
	e.Level, e.Session, e.Seq = 1, 1, l.seq
	body, err := AppendEntry(nil, e)
	if err != nil {
		b.Fatal(err)
	}
	return CommittedEntry{l.rev, 1, 1, LaneControl, l.seq, body}
}

// drainQueue applies ReleaseQueued until the queue is empty.
func (p pauses) drainQueue(b *testing.B, l *benchLog) {
	for l.s.QueuedReleases() > 0 {
		p.apply(b, l, "release", commands(ReleaseQueued{MaxReleaseItems}))
	}
}

func BenchmarkApplyAtLimits(b *testing.B) {
	b.Run("sessions", benchmarkSessions)
	b.Run("topics", benchmarkTopics)
	b.Run("trims", benchmarkTrims)
	b.Run("retention", benchmarkRetention)
	b.Run("ticks", benchmarkTicks)
	b.Run("runs", benchmarkLargestRuns)
	b.Run("offsets", benchmarkLargestOffsets)
	b.Run("ledger", benchmarkFullLedger)
	b.Run("marks", benchmarkMark)
	b.Run("transactions", benchmarkLargestTxn)
	b.Run("groups", benchmarkDeletedGroup)
}

// Sessions of three zones at 100,000 partitions.
func benchmarkSessions(b *testing.B) {
	s, l := bigState(b, 100_000, 0)
	open := func(id SessionID, p pauses) {
		e := &Entry{Level: 1, Session: id, Seq: 1, Commands: []Command{OpenSession{Want: NoBroker, Zone: ZoneID(rune('a' + id%3)), Kafka: Address{fmt.Sprint("h", id), 9092}, MinLevel: 1, MaxLevel: 1}}}
		body, err := AppendEntry(nil, e)
		if err != nil {
			b.Fatal(err)
		}
		l.rev++
		c := CommittedEntry{l.rev, 1, id, LaneControl, 1, body}
		s.snapshot()
		start := cpuTime()
		if out, _ := s.Apply(&c); out.Commands[0].Code != CodeOK {
			b.Fatalf("%+v", out)
		}
		if p != nil {
			p["open"] = append(p["open"], cpuTime()-start)
		}
	}
	for id := range SessionID(8) {
		open(id+2, nil)
	}
	last := SessionID(10)
	reportPauses(b, func() pauses {
		p := pauses{}
		open(last, p)
		p.apply(b, l, "close", commands(CloseSession{last}))
		last++
		for l.s.epochs.done < l.s.epochs.changes {
			p.apply(b, l, "tick", commands(Tick{max(l.s.time+5_000, 1_700_000_000_000)}))
		}
		return p
	})
}

// A topic of 10,000 partitions, with the offsets of 100 groups on each of them.
func benchmarkTopics(b *testing.B) {
	_, l := bigState(b, 100, 0)
	l.commit(b, commands(Tick{1_700_000_000_000}))
	for slot := range Slot(GroupSlots) {
		l.commit(b, commands(ClaimRole{GroupSlotRole(slot), 1}))
	}
	topic := TopicID{100}
	reportPauses(b, func() pauses {
		p := pauses{}
		topic[1]++
		p.apply(b, l, "create", commands(CreateTopic{topic, "wide", MaxPartitionsPerTopic, 3, nil}))
		for g := range 100 {
			c := CommitOffsets{Group: fmt.Sprint("g", g), Epoch: 1}
			for i := range Partition(MaxPartitionsPerTopic) {
				c.Offsets = append(c.Offsets, OffsetCommit{Topic: topic, Partition: i, Offset: 5})
			}
			p.apply(b, l, "commit-10000-offsets", commands(c))
		}
		p.apply(b, l, "delete", commands(DeleteTopic{topic}))
		p.drainQueue(b, l)
		return p
	})
}

// 300 partitions of 5,000 spans each, trimmed in step.
func benchmarkTrims(b *testing.B) {
	reportPauses(b, func() pauses {
		b.StopTimer()
		l := newSpanLog(b, 300)
		l.add(b, 5_000)
		b.StartTimer()
		p := pauses{}
		for to := 250; to <= 5_000; to += 250 {
			var list []Command
			for i := range Partition(300) {
				list = append(list, TrimPartition{l.topic, i, Offset(to) * 16})
			}
			p.apply(b, l.benchLog, "trim-300", commands(list...))
			p.drainQueue(b, l.benchLog)
		}
		return p
	})
}

// 1,000 partitions of which half of the spans expire.
func benchmarkRetention(b *testing.B) {
	reportPauses(b, func() pauses {
		b.StopTimer()
		l := newSpanLog(b, MaxRetentionPartitions)
		l.commit(b, commands(Tick{1_700_000_000_000}))
		l.add(b, 30)
		l.commit(b, commands(Tick{1_700_000_060_000}))
		l.commit(b, commands(SetConfigs{Resource: ResourceBroker, Set: map[string]string{"log.retention.ms": "1"}}))
		b.StartTimer()
		p, all := pauses{}, []TopicPartition{}
		for i := range Partition(MaxRetentionPartitions) {
			all = append(all, TopicPartition{l.topic, i})
		}
		for range 8 {
			p.apply(b, l.benchLog, "enforce", commands(EnforceRetention{all}))
		}
		p.drainQueue(b, l.benchLog)
		return p
	})
}

// Two million producers and 200,000 transactional ids that expire.
func benchmarkTicks(b *testing.B) {
	reportPauses(b, func() pauses {
		b.StopTimer()
		_, l := bigState(b, 20_000, 100)
		var list []Command
		for i := range MaxTxns {
			if list = append(list, InitTxn{ID: fmt.Sprint("txn", i), Producer: NoProducer, Epoch: -1, Timeout: 60_000}); len(list) == 1000 {
				l.commit(b, commands(list...))
				list = nil
			}
		}
		l.commit(b, commands(Tick{1_700_000_000_000}))
		b.StartTimer()
		p := pauses{}
		for l.s.time < 1_700_000_000_000+ProducerExpiry+2*3600*1000 {
			p.apply(b, l, "tick", commands(Tick{l.s.time + MaxTickStep}))
		}
		return p
	})
}

// As many runs as an entry has at most (wal.headMaxBytes), each of another
// partition, at two million producers.
func benchmarkLargestRuns(b *testing.B) {
	_, l := bigState(b, 20_000, 100)
	first := Sequence(0)
	reportPauses(b, func() pauses {
		p := pauses{}
		first += 16
		p.apply(b, l, "runs-2400", l.produce(0, 2_400, 1, first))
		return p
	})
}

// A group with a million offsets, of which one is committed after a snapshot.
func benchmarkLargestOffsets(b *testing.B) {
	_, l := bigState(b, 100_000, 0)
	for slot := range Slot(GroupSlots) {
		l.commit(b, commands(ClaimRole{GroupSlotRole(slot), 1}))
	}
	for at := range 10 {
		c := CommitOffsets{Group: "g", Epoch: 1}
		for i := range Partition(10_000) {
			c.Offsets = append(c.Offsets, OffsetCommit{Topic: TopicID{byte(at + 1)}, Partition: i, Offset: 5})
		}
		l.commit(b, commands(c))
	}
	reportPauses(b, func() pauses {
		p := pauses{}
		p.apply(b, l, "commit-1", commands(CommitOffsets{Group: "g", Epoch: 1, Offsets: []OffsetCommit{{Topic: l.topic, Offset: 6}}}))
		return p
	})
}

// Full ledger buckets, and a read-side report of 2,000 cells.
func benchmarkFullLedger(b *testing.B) {
	_, l := bigState(b, 1, 0)
	cells := func(from, n int) (out []Cell) {
		for i := range n {
			out = append(out, Cell{CellKey{Topic: TopicID{1}, Component: 1, Src: "a", Dst: "b", Principal: fmt.Sprint("User:", from+i), Group: "g"}, Quantity{Lo: 1}})
		}
		return out
	}
	seq := uint64(0)
	for at := 0; at < MaxLedgerCells; at += 5_000 {
		seq++
		l.commit(b, commands(Usage{Seq: seq, Cells: cells(at, 5_000)}))
	}
	reportPauses(b, func() pauses {
		p := pauses{}
		for _, n := range []int{1, 2_000, 5_000} {
			seq++
			p.apply(b, l, fmt.Sprint("usage-", n), commands(Usage{Seq: seq, Cells: cells(7, n)}))
		}
		return p
	})
}

// The hash and the snapshot at a RecordStateHash, with 50,000 topics that have
// bytes, and 1,000 sessions.
func benchmarkMark(b *testing.B) {
	s, l := bigState(b, 1, 0)
	for i := range MaxTopics - 1 {
		id := TopicID{200, byte(i), byte(i >> 8)}
		l.commit(b, commands(CreateTopic{id, fmt.Sprint("t", i), 1, 3, nil}))
		s.addStoredBytes(id, 1, 1)
	}
	for i := range SessionID(MaxSessions - 1) {
		e := &Entry{Level: 1, Session: i + 2, Seq: 1, Commands: []Command{OpenSession{Want: NoBroker, Zone: ZoneID(rune('a' + i%3)), Kafka: Address{fmt.Sprint("h", i), 9092}, MinLevel: 1, MaxLevel: 1}}}
		body, err := AppendEntry(nil, e)
		if err != nil {
			b.Fatal(err)
		}
		l.rev++
		s.Apply(&CommittedEntry{l.rev, 1, i + 2, LaneControl, 1, body})
	}
	reportPauses(b, func() pauses {
		p := pauses{}
		start := cpuTime()
		s.Hash()
		p["hash"] = append(p["hash"], cpuTime()-start)
		start = cpuTime()
		s.snapshot()
		p["snapshot"] = append(p["snapshot"], cpuTime()-start)
		return p
	})
}

// A transaction over as many partitions as it may have, and as many offsets.
func benchmarkLargestTxn(b *testing.B) {
	_, l := bigState(b, MaxTxnPartitions, 0)
	var all []TopicPartition
	for i := range MaxTxnPartitions {
		all = append(all, TopicPartition{TopicID{byte(i/MaxPartitionsPerTopic + 1)}, Partition(i % MaxPartitionsPerTopic)})
	}
	slices.SortFunc(all, TopicPartition.Compare)
	out := l.s.txnByProducer
	l.commit(b, commands(InitTxn{ID: "x", Producer: NoProducer, Epoch: -1, Timeout: 60_000}))
	for id := range out {
		reportPauses(b, func() pauses {
			p := pauses{}
			v, _ := l.s.Txn("x")
			p.apply(b, l, "add-20000", commands(AddToTxn{"x", id, v.Epoch, all, nil}))
			v, _ = l.s.Txn("x")
			p.apply(b, l, "end-20000", commands(EndTxn{ID: "x", Producer: id, Epoch: v.Epoch, Commit: true, Start: v.Start}))
			v, _ = l.s.Txn("x")
			for at := 0; at+2_000 <= MaxTxnPartitions; at += 2_000 { // partitions are added by their first run (KIP-890)
				e := l.produce(at, 2_000, id, 0)
				for i := range e.Parts {
					r := &e.Parts[i].Runs[0]
					r.Transactional, r.Epoch, r.FirstSequence = true, v.Epoch, Sequence(l.rounds*16)
				}
				p.apply(b, l, "add-by-2000-runs", e)
			}
			l.rounds++
			v, _ = l.s.Txn("x")
			p.apply(b, l, "end-20000-written", commands(EndTxn{ID: "x", Producer: id, Epoch: v.Epoch, Commit: true, Start: v.Start}))
			return p
		})
		return
	}
}

// A group with 100,000 offsets is deleted.
func benchmarkDeletedGroup(b *testing.B) {
	_, l := bigState(b, 100_000, 0)
	for slot := range Slot(GroupSlots) {
		l.commit(b, commands(ClaimRole{GroupSlotRole(slot), 1}))
	}
	reportPauses(b, func() pauses {
		for at := range 10 {
			c := CommitOffsets{Group: "g", Epoch: 1}
			for i := range Partition(10_000) {
				c.Offsets = append(c.Offsets, OffsetCommit{Topic: TopicID{byte(at + 1)}, Partition: i, Offset: 5})
			}
			l.commit(b, commands(c))
		}
		p := pauses{}
		p.apply(b, l, "delete-100000", commands(DeleteGroup{1, "g"}))
		return p
	})
}
