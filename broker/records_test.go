package broker

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// produce sends batches to partition 0 of a topic and returns the answer.
func (r *raw) produce(topic string, batch []byte) kmsg.ProduceResponseTopicPartition {
	r.t.Helper()
	return r.roundTrip(produceOf(9, topic, metadata.TopicID{}, -1, batch)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

// stored reads all of partition 0 and returns its batches.
func (r *raw) stored(topic string) (out []metadata.BatchHeader, raw [][]byte) {
	r.t.Helper()
	got := r.fetch(fetchOf(11, 0, -1, 10, fetchWant{topic: topic})).Topics[0].Partitions[0].RecordBatches
	for len(got) > 0 {
		h, err := metadata.ParseBatchHeader(got)
		if err != nil {
			r.t.Fatal(err)
		}
		if metadata.BatchCRC(got[:h.Size]) != h.CRC {
			r.t.Errorf("batch at %d is served with a wrong CRC", h.BaseOffset)
		}
		out, raw = append(out, h), append(raw, got[:h.Size])
		got = got[h.Size:]
	}
	return out, raw
}

func TestSequencesAreJudgedAsKafkaDoes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		pid := r.roundTrip(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse).ProducerID
		batch := func(epoch int16, seq int32, values ...string) []byte {
			return edited(batchWith(nowMs(), pid, seq, 0, values...), func(b []byte) { b[51], b[52] = byte(epoch>>8), byte(epoch) })
		}
		for i, c := range []struct {
			name   string
			epoch  int16
			seq    int32
			values int
			code   int16
			offset int64
		}{
			{"first", 0, 0, 2, 0, 0},
			{"next", 0, 2, 1, 0, 2},
			{"a retry of the first", 0, 0, 2, 0, 0},
			{"a retry of the second", 0, 2, 1, 0, 2},
			{"beyond a gap", 0, 9, 1, 45, -1},
			{"part of what was there", 0, 1, 1, 0, 1}, // Kafka: 45; here ranges say where it is
			{"four more", 0, 3, 1, 0, 3}, {"", 0, 4, 1, 0, 4}, {"", 0, 5, 1, 0, 5}, {"", 0, 6, 1, 0, 6},
			{"a retry of the oldest of five", 0, 2, 1, 0, 2},
			{"a retry older than five", 0, 0, 2, 0, 0}, // Kafka: 45; here what is contiguous is one range
			{"a new epoch that does not begin at 0", 3, 7, 1, 45, -1},
			{"a new epoch", 3, 0, 1, 0, 7},
			{"the old epoch", 0, 7, 1, 47, -1},
		} {
			got := r.produce("t", batch(c.epoch, c.seq, make([]string, c.values)...))
			if got.ErrorCode != c.code || got.BaseOffset != c.offset {
				t.Errorf("%d %s: error %d at %d, want %d at %d", i, c.name, got.ErrorCode, got.BaseOffset, c.code, c.offset)
			}
		}
	})
}

func TestSequencesWrapAround(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		// No producer id was ever given out here that the partition could
		// expect from 0: an id from before is taken at any sequence.
		const pid = 0
		for i, c := range []struct {
			seq    int32
			code   int16
			offset int64
		}{{1<<31 - 2, 0, 0}, {0, 0, 2}, {1<<31 - 2, 0, 0}, {1, 45, -1}, {2, 0, 4}} {
			got := r.produce("t", batchWith(nowMs(), pid, c.seq, 0, "a", "b"))
			if got.ErrorCode != c.code || got.BaseOffset != c.offset {
				t.Errorf("%d: sequence %d: error %d at %d, want %d at %d", i, c.seq, got.ErrorCode, got.BaseOffset, c.code, c.offset)
			}
		}
	})
}

func TestBatchRulesFollowTheTopicsConfigs(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("small", 1, "max.message.bytes", "200")
		if got := r.produce("small", batchOf(nowMs(), string(make([]byte, 200)))); got.ErrorCode != 10 {
			t.Errorf("too large: %d", got.ErrorCode)
		}
		if got := r.produce("small", batchOf(nowMs(), "v")); got.ErrorCode != 0 || got.LogAppendTime != -1 {
			t.Errorf("small enough: %+v", got)
		}

		r.makeTopic("compacted", 1, "cleanup.policy", "compact,delete")
		got := r.produce("compacted", keyless())
		if got.ErrorCode != 87 || len(got.ErrorRecords) != 1 || got.ErrorRecords[0].RelativeOffset != 0 || got.ErrorRecords[0].ErrorMessage == nil {
			t.Errorf("no key: %+v", got)
		}

		r.makeTopic("timed", 1, "message.timestamp.before.max.ms", "1000", "message.timestamp.after.max.ms", "1000")
		for ts, want := range map[int64]int16{nowMs() - 5000: 32, nowMs() + 5000: 32, nowMs(): 0} {
			got := r.produce("timed", batchOf(ts, "a", "b"))
			if got.ErrorCode != want || len(got.ErrorRecords) != int(want)/16 {
				t.Errorf("timestamp %d from now: %+v", ts-nowMs(), got)
			}
		}

		r.makeTopic("stamped", 1, "message.timestamp.type", "LogAppendTime")
		now := nowMs()
		if got := r.produce("stamped", batchOf(5, "a", "b")); got.ErrorCode != 0 || got.LogAppendTime != now {
			t.Errorf("stamped: %+v", got)
		}
		h, _ := r.stored("stamped")
		if len(h) != 1 || int64(h[0].MaxTimestamp) != now || h[0].Attributes&metadata.AttrLogAppendTime == 0 {
			t.Errorf("stored: %+v", h)
		}
		if at := r.listOffset("stamped", -3); at.Offset != 0 || at.Timestamp != now {
			t.Errorf("greatest timestamp: %+v", at)
		}
		if at := r.listOffset("stamped", now); at.Offset != 0 || at.Timestamp != now {
			t.Errorf("by time: %+v", at)
		}
	})
}

func (r *raw) listOffset(topic string, ts int64) kmsg.ListOffsetsResponseTopicPartition {
	r.t.Helper()
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version = 10
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp = ts
	rt.Partitions = append(rt.Partitions, rp)
	q.Topics = append(q.Topics, rt)
	return r.roundTrip(q).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
}

func TestTopicsPackAsTheirCompressionTypeSays(t *testing.T) {
	names := []string{"uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"}
	levels := map[string]string{"gzip": "9", "lz4": "3", "zstd": "19"}
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		value := string(bytes.Repeat([]byte("zonewise "), 3000))
		for to, name := range names {
			configs := []string{"compression.type", name}
			if l := levels[name]; l != "" {
				configs = append(configs, "compression."+name+".level", l)
			}
			r.makeTopic(name, 1, configs...)
			for from := codecNone; from <= codecZstd; from++ {
				sent := packed(from, value, fmt.Sprint(from), "")
				if got := r.produce(name, bytes.Clone(sent)); got.ErrorCode != 0 {
					t.Fatalf("%d to %s: %d", from, name, got.ErrorCode)
				}
				h, raw := r.stored(name)
				last, b := h[len(h)-1], raw[len(raw)-1]
				want := to
				if name == "producer" {
					want = from
					if !bytes.Equal(b[21:], sent[21:]) || last.CRC != metadata.BatchCRC(sent) {
						t.Errorf("%d to producer: the bytes were changed", from)
					}
				}
				if int(last.Attributes&metadata.AttrCompression) != want || last.RecordCount != 3 {
					t.Errorf("%d to %s: stored as %+v", from, name, last)
				}
				plain, err := Decompress(want, b[metadata.BatchHeaderSize:], 1<<20)
				if err != nil || !bytes.Equal(plain, packed(codecNone, value, fmt.Sprint(from), "")[metadata.BatchHeaderSize:]) {
					t.Errorf("%d to %s: the records are others: %v", from, name, err)
				}
			}
		}
	})
}

func TestPackingAnewMayNotPassMaxMessageBytes(t *testing.T) {
	rules := testRules()
	rules.codec, rules.maxBytes = codecNone, 4000
	batch := packed(codecZstd, string(make([]byte, 100_000)))
	if _, _, err := newCodecs().checkBatch(batch, 9, 5000, rules); err == nil || err.code != kerr.MessageTooLarge.Code {
		t.Errorf("a batch of %d bytes that unpacks to 100 kB was stored: %v", len(batch), err)
	}
}

func TestOffsetsAreListedBySpecialTimes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		if at := r.listOffset("t", -3); at.Offset != -1 || at.Timestamp != -1 || at.ErrorCode != 0 {
			t.Errorf("greatest timestamp of nothing: %+v", at)
		}
		base := nowMs() - 1000
		for i, d := range []int64{900, 100, 500, 100} { // the greatest comes first
			if got := r.produce("t", batchOf(base+d, fmt.Sprint(i), "x")); got.ErrorCode != 0 {
				t.Fatalf("%+v", got)
			}
			time.Sleep(time.Second) // a span of its own
		}
		check := func(name string, ts, offset, stamp int64) {
			t.Helper()
			if at := r.listOffset("t", ts); at.ErrorCode != 0 || at.Offset != offset || at.Timestamp != stamp {
				t.Errorf("%s: %+v, want %d at %d", name, at, offset, stamp)
			}
		}
		check("latest", -1, 8, -1)
		check("earliest", -2, 0, -1)
		check("greatest timestamp", -3, 0, base+900)
		check("earliest local", -4, 0, -1)
		check("latest tiered", -5, -1, -1)
		check("by time", base+500, 0, base+900)
		check("beyond all times", base+901, -1, -1)
		if at := r.listOffset("t", -6); at.ErrorCode != 35 {
			t.Errorf("an unknown special time: %+v", at)
		}
		trim := kmsg.NewPtrDeleteRecordsRequest()
		trim.Version = 2
		trim.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 1}}}}
		r.roundTrip(trim)
		check("greatest timestamp, its first record gone", -3, 1, base+900)
		trim.Topics[0].Partitions[0].Offset = 3
		r.roundTrip(trim)
		check("earliest after a trim", -2, 3, -1)
		check("greatest timestamp after a trim", -3, 4, base+500)
		for _, c := range []struct {
			version int16
			ts      int64
		}{{6, -3}, {7, -4}, {8, -5}} {
			q := kmsg.NewPtrListOffsetsRequest()
			q.Version = c.version
			q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: c.ts}}}}
			if at := r.roundTrip(q).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; at.ErrorCode != 35 {
				t.Errorf("%d in version %d: %+v", c.ts, c.version, at)
			}
		}
	})
}
