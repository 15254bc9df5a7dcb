package metadata

import (
	"encoding/binary"
	"testing"
)

// storedTopicsState has many topics with live bytes, half of them with dead ones.
func storedTopicsState(b testing.TB, topics int) (*State, *benchLog) {
	l := &benchLog{s: NewState(), topic: TopicID{1}}
	l.commit(b, &Entry{Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1}}})
	l.commit(b, &Entry{Commands: []Command{Tick{1_700_000_000_000}}})
	idOf := func(i int) (id TopicID) {
		binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x9e3779b97f4a7c15)
		return id
	}
	for i := range topics {
		l.commit(b, &Entry{Commands: []Command{CreateTopic{idOf(i), "topic-" + idOf(i).String(), 1, 3, nil}}})
	}
	for at := 0; at < topics; at += 1000 {
		l.number++
		e := &Entry{Principals: []string{"User:x"}, Objects: []ObjectRef{{ObjectName{1, LaneControl, l.number, 0}, 1000 * 2000, 1}}}
		for i := range min(1000, topics-at) {
			e.Topics = append(e.Topics, idOf(at+i))
			e.Parts = append(e.Parts, Part{Topic: i, Position: int64(i) * 2000, Length: 2000, Runs: []Run{{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 16, Bytes: 1000}, {Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 16, Bytes: 1000}}})
		}
		l.commit(b, e)
	}
	return l.s, l
}

// A tick where 50,000 topics have bytes in the bucket. No entry may stop apply for
// more than 5 ms.
func BenchmarkTickOfManyTopics(b *testing.B) {
	s, l := storedTopicsState(b, 50_000)
	for b.Loop() {
		l.commit(b, &Entry{Commands: []Command{Tick{s.Time() + 5_000}}})
	}
}

// The same right after a snapshot, as a cost request or a checkpoint takes one.
func BenchmarkTickOfManyTopicsAfterASnapshot(b *testing.B) {
	s, l := storedTopicsState(b, 50_000)
	for range 60 { // each topic has its cells
		l.commit(b, &Entry{Commands: []Command{Tick{s.Time() + 5_000}}})
	}
	for b.Loop() {
		_ = s.snapshot()
		l.commit(b, &Entry{Commands: []Command{Tick{s.Time() + 5_000}}})
	}
}
