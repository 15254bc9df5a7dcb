package metadata

import (
	"bytes"
	"log/slog"
	"testing"
)

// A replica keeps the inline bytes of an entry, not the entry: for a large one
// with few inline bytes that is a hundredth.
func TestRetainedBytesDoNotKeepTheirEntry(t *testing.T) {
	w := newWorld(1)
	first := w.openSession(t, "a")
	inline := bytes.Repeat([]byte("inline"), 20)
	w.commit(t, &Entry{Session: w.sessions[0], Commands: []Command{CreateTopic{ID: TopicID{1}, Name: "t", Partitions: 1, ReplicationFactor: 1}}})
	e := &Entry{Session: w.sessions[0], Lane: LaneLow, Topics: []TopicID{{1}}, Principals: []string{"p"}, Inline: inline,
		Parts: []Part{{Object: InlineObject, Length: int64(len(inline)), Runs: []Run{{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 1, Bytes: uint32(len(inline))}}}}}
	c, out := w.commit(t, e)
	if out.Code != CodeOK {
		t.Fatal(out)
	}
	r := NewReplica(ReplicaConfig{Logger: slog.New(slog.DiscardHandler)})
	for _, one := range []CommittedEntry{first, c} {
		if err := r.applyEntry(&one, true); err != nil {
			t.Fatal(err)
		}
	}
	got, ok := r.InlineBytes(c.Revision)
	if !ok || string(got) != string(inline) {
		t.Fatalf("%q, %v", got, ok)
	}
	clear(c.Bytes) // as if its memory were reused
	if string(got) != string(inline) || cap(got) > 2*len(inline) || r.UnarchivedBytes() != int64(len(inline)) {
		t.Errorf("pinned %q, with room for %d; %d counted", got, cap(got), r.UnarchivedBytes())
	}
}

// A partition that is trimmed, in steps of any size, and then idle does not keep
// the memory of its former spans.
func TestTrimmedSpansAreNotKept(t *testing.T) {
	for _, step := range []Offset{1, 7, 999} {
		w := newWorld(2)
		w.openSession(t, "a")
		id := w.sessions[0]
		w.commit(t, &Entry{Session: id, Commands: []Command{CreateTopic{ID: TopicID{1}, Name: "t", Partitions: 1, ReplicationFactor: 1}}})
		body := make([]byte, 100)
		for range 1000 {
			w.commit(t, &Entry{Session: id, Lane: LaneLow, Topics: []TopicID{{1}}, Principals: []string{"p"}, Inline: body,
				Parts: []Part{{Object: InlineObject, Length: 100, Runs: []Run{{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 1, Bytes: 100}}}}})
		}
		tp := TopicPartition{Topic: TopicID{1}}
		frozen := w.state.snapshot()
		for to := step; to < 1000; to += step {
			w.commit(t, &Entry{Session: id, Commands: []Command{TrimPartition{tp.Topic, 0, to}, ReleaseQueued{MaxReleaseItems}}})
			p := w.state.partitions.get(tp)
			if Offset(len(p.spans)) != 1000-to || p.spans[0].First != to {
				t.Fatalf("%d spans from %d on after a trim to %d", len(p.spans), p.spans[0].First, to)
			}
			if p.trimmedSpans > len(p.spans) {
				t.Fatalf("step %d: %d trimmed spans are kept behind %d", step, p.trimmedSpans, len(p.spans))
			}
		}
		if got := frozen.Spans(nil, tp, 0, 2000); len(got) != 1000 {
			t.Errorf("a copy taken before has %d spans", len(got))
		}
	}
}

// Partitions that are written alike are not copied by the same entry.
func TestSpansOfPartitionsAreCopiedAtDifferentTimes(t *testing.T) {
	rooms := map[int]int{}
	for p := range Partition(300) {
		rooms[spanRoom(TopicPartition{TopicID{1}, p}, 10_000)]++
	}
	for room, n := range rooms {
		if n > 5 || room < 2_500 || room > 5_100 {
			t.Errorf("%d of 300 partitions have room for %d", n, room)
		}
	}
}
