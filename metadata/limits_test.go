package metadata

import (
	"fmt"
	"testing"
)

// limitCase grows what one limit bounds, step by step.
type limitCase struct {
	name  string
	lower func(*Limits)
	grow  func(w *world, n int) *Entry
}

func commands(c ...Command) *Entry { return &Entry{Commands: c} }

// claimed returns the epoch of a group's slot; the world claims every slot first.
const slotEpoch = 1

func limitCases() []limitCase {
	const limit = 5
	plain := func(w *world, n int, object bool) *Entry {
		e := &Entry{Lane: LaneLow, Topics: []TopicID{w.topics[0]}, Principals: []string{"User:x"}}
		p := Part{Object: InlineObject, Length: 100, Runs: []Run{{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 1, Bytes: 100}}}
		if object {
			e.Objects, p.Object = []ObjectRef{{ObjectName{w.sessions[0], LaneLow, uint64(n + 1), 0}, 100, 1}}, 0
		} else {
			e.Inline = make([]byte, 100)
		}
		e.Parts = []Part{p}
		return e
	}
	return []limitCase{
		{"topics", func(l *Limits) { l.Topics = limit }, func(_ *world, n int) *Entry {
			return commands(CreateTopic{ID: TopicID{9, byte(n)}, Name: fmt.Sprint("new", n), Partitions: 1, ReplicationFactor: 1})
		}},
		{"partitions", func(l *Limits) { l.Partitions = limit }, func(w *world, n int) *Entry {
			return commands(CreatePartitions{w.topics[0], int32(n + 2)})
		}},
		{"producers", func(l *Limits) { l.Producers = limit }, func(w *world, n int) *Entry {
			e := plain(w, n, false)
			e.Parts[0].Runs[0].Producer, e.Parts[0].Runs[0].Epoch, e.Parts[0].Runs[0].FirstSequence = ProducerID(n), 0, 0
			return e
		}},
		{"spans", func(l *Limits) { l.Spans = limit }, func(w *world, n int) *Entry { return plain(w, n, false) }},
		{"objects", func(l *Limits) { l.Objects = limit }, func(w *world, n int) *Entry { return plain(w, n, true) }},
		{"dead_objects", func(l *Limits) { l.DeadObjects = limit }, func(w *world, n int) *Entry {
			e := plain(w, n, true)
			if w.state.garbage.rows.count < limit {
				e.Parts[0].Runs[0].Transactional, e.Parts[0].Runs[0].Producer, e.Parts[0].Runs[0].Epoch, e.Parts[0].Runs[0].FirstSequence = true, 77, 0, 0 // refused, so the object dies
			}
			return e
		}},
		{"groups", func(l *Limits) { l.Groups = limit }, func(_ *world, n int) *Entry {
			return commands(PutGroup{slotEpoch, Group{Name: fmt.Sprint("g", n), Generation: 1}})
		}},
		{"group_offsets", func(l *Limits) { l.GroupOffsets = limit }, func(w *world, n int) *Entry {
			return commands(CommitOffsets{fmt.Sprint("g", n), slotEpoch, []OffsetCommit{{Topic: w.topics[0], Offset: 1}}})
		}},
		{"members", func(l *Limits) { l.Members = limit }, func(_ *world, n int) *Entry {
			return commands(PutMember{"g", slotEpoch, 1, ConsumerMember{ID: fmt.Sprint("m", n), Topics: []string{"t"}, RebalanceTimeoutMs: 5}})
		}},
		{"transactional_ids", func(l *Limits) { l.Txns = limit }, func(_ *world, n int) *Entry {
			return commands(InitTxn{ID: fmt.Sprint("t", n), Producer: NoProducer, Epoch: -1, Timeout: 60_000})
		}},
		{"sessions", func(l *Limits) { l.Sessions = limit }, nil},
		{"zones", func(*Limits) {}, nil},
	}
}

func (o Outcome) atLimit() bool {
	for _, c := range o.Commands {
		if c.Code == CodeLimit {
			return true
		}
	}
	for _, p := range o.Parts {
		for _, r := range p {
			if r.Code == CodeLimit {
				return true
			}
		}
	}
	return false
}

// Promise 9: every limit of the state is one. What would grow beyond it is
// refused with CodeLimit and changes nothing that the limit counts; what shrinks
// the state, and the log's own work, goes on, and makes room again.
func TestEveryLimitRefusesGrowthAndLetsTheRestGoOn(t *testing.T) {
	tried := map[string]bool{"ledger_cells": true} // it folds and refuses nothing: TestLedgerCellsSumToMeters
	for _, c := range limitCases() {
		t.Run(c.name, func(t *testing.T) {
			tried[c.name] = true
			w := newWorld(1)
			c.lower(&w.state.limits)
			w.openSession(t, "a")
			w.do1(t, Tick{1_700_000_000_000})
			w.topics = []TopicID{{1}}
			w.do1(t, CreateTopic{ID: w.topics[0], Name: "t", Partitions: 1, ReplicationFactor: 1})
			for slot := range Slot(GroupSlots) {
				w.do1(t, ClaimRole{GroupSlotRole(slot), slotEpoch})
			}
			grow := c.grow
			limit := w.state.LimitUsage(c.name).Limit
			refused := false
			for n := 0; n < limit+3 && (c.name != "dead_objects" || !refused); n++ {
				before := w.state.LimitUsage(c.name).Used
				out := w.growOnce(t, c.name, grow, n)
				used := w.state.LimitUsage(c.name).Used
				if c.name == "dead_objects" && out.atLimit() {
					used = before // what was uploaded has to be remembered all the same
				}
				if used > limit || out.atLimit() && used != before {
					t.Fatalf("step %d: %d of %d used, before %d: %+v", n, used, limit, before, out)
				}
				refused = refused || out.atLimit()
			}
			if !refused {
				t.Fatalf("nothing was refused at %+v", w.state.LimitUsage(c.name))
			}
			// The rest goes on.
			w.do1(t, Tick{w.state.time + 1000})
			w.do1(t, AllocateProducers{1})
			w.do1(t, RecordStateHash{})
			if p, _ := w.state.Partition(TopicPartition{w.topics[0], 0}); p.Next > 0 {
				w.do1(t, TrimPartition{w.topics[0], 0, p.Next})
			}
			w.do1(t, DeleteTopic{w.topics[0]})
		})
	}
	for _, u := range NewState().LimitUsages() {
		if !tried[u.Name] {
			t.Errorf("limit %s is not tried", u.Name)
		}
	}
}

// growOnce takes one step; sessions and zones grow by sessions of their own.
func (w *world) growOnce(t *testing.T, limit string, grow func(*world, int) *Entry, n int) Outcome {
	t.Helper()
	if grow != nil {
		e := grow(w, n)
		e.Session = w.sessions[0]
		_, out := w.commit(t, e)
		return out
	}
	zone := ZoneID("a")
	if limit == "zones" {
		zone = ZoneID(fmt.Sprint("zone", n))
	}
	w.rev++
	id := SessionID(w.rev)
	w.lanes[id] = new([LaneCount]LaneSeq)
	_, out := w.commit(t, &Entry{Session: id, Commands: []Command{OpenSession{Want: NoBroker, Zone: zone, Kafka: Address{fmt.Sprint("h", n), 9092}, MinLevel: 1, MaxLevel: 1}}})
	return out
}
