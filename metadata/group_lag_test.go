package metadata

import (
	"slices"
	"testing"
)

func TestLagOfAGroupIsWhatItHasNotCommitted(t *testing.T) {
	w, do := slotWorld(t)
	a, b := TopicID{1}, TopicID{2}
	do(CreateTopic{ID: a, Name: "a", Partitions: 3, ReplicationFactor: 1}, CreateTopic{ID: b, Name: "b", Partitions: 1, ReplicationFactor: 1})
	produce := func(topic TopicID, partition Partition, records uint32) {
		e := &Entry{Session: w.sessions[0], Lane: LaneLow, Topics: []TopicID{topic}, Principals: []string{""}, Inline: make([]byte, 100),
			Parts: []Part{{Partition: partition, Object: InlineObject, Length: 100, Runs: []Run{{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: records, Bytes: 100}}}}}
		if _, out := w.commit(t, e); out.Code != CodeOK || out.Parts[0][0].Code != CodeOK {
			t.Fatalf("%+v", out)
		}
	}
	produce(a, 0, 10)
	produce(a, 1, 7)
	produce(a, 2, 100)
	produce(b, 0, 5)
	do(CommitOffsets{"g", 5, []OffsetCommit{{Topic: a, Partition: 0, Offset: 4}, {Topic: a, Partition: 1, Offset: 7}, {Topic: b, Partition: 0, Offset: -1}}})
	want := []GroupLag{{"g", "a", 6}} // a's third partition has no committed offset, and b's offset is of no record
	if got := w.state.GroupLags("g"); !slices.Equal(got, want) {
		t.Errorf("lags %+v, want %+v", got, want)
	}
	do(TrimPartition{a, 0, 8})
	if got := w.state.GroupLags("g"); len(got) != 1 || got[0].Records != 2 {
		t.Errorf("lags %+v after a trim: want what is left to read, 2", got)
	}
	if got := w.state.GroupLags("unknown"); len(got) != 0 {
		t.Errorf("lags of no group: %+v", got)
	}
}
