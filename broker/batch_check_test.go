package broker

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func testRules() batchRules {
	return batchRules{maxBytes: 1048588, segmentBytes: 1 << 30, maxBeforeMs: math.MaxInt64, maxAfterMs: 3_600_000, codec: codecProducer}
}

// reseal writes a right CRC into a batch that was changed.
func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], metadata.BatchCRC(b))
	return b
}

func edited(b []byte, edit func([]byte)) []byte {
	edit(b)
	return reseal(b)
}

func packed(codec int, values ...string) []byte {
	plain := batchOf(1000, values...)
	var out bytes.Buffer
	if err := compressRecords(&out, codec, 0, bytes.NewReader(plain[61:])); err != nil {
		panic(err)
	}
	return sealBatch(1000, -1, -1, int16(codec), int32(len(values)), out.Bytes())
}

func keyless() []byte { return sealBatch(1000, -1, -1, 0, 1, recordAt(0, nil, 0)) }

// recordAt is a record so much after the first time of its batch.
func recordAt(offset int32, key []byte, delta int64) []byte {
	rec := kmsg.Record{OffsetDelta: offset, TimestampDelta64: delta, Key: key, Value: []byte("v")}
	rec.Length = int32(len(rec.AppendTo(nil)[1:]))
	return rec.AppendTo(nil)
}

func TestBatchesAreJudgedAsKafkaDoes(t *testing.T) {
	const now = 1_000_000_000
	be := binary.BigEndian
	compacted := func(r *batchRules) { r.compacted = true }
	tests := []struct {
		name    string
		batch   []byte
		version int16
		rules   func(*batchRules)
		want    int16
		blamed  int
	}{
		{name: "good", batch: batchOf(1000, "a", "b")},
		{name: "good gzip", batch: packed(codecGzip, "a", "b")},
		{name: "good snappy", batch: packed(codecSnappy, "a", "b")},
		{name: "good lz4", batch: packed(codecLZ4, "a", "b")},
		{name: "good zstd", batch: packed(codecZstd, "a", "b")},
		{name: "zstd before v7", batch: packed(codecZstd, "a"), version: 6, want: kerr.UnsupportedCompressionType.Code},
		{name: "empty", batch: nil, want: kerr.InvalidRecord.Code},
		{name: "cut short", batch: batchOf(1000, "a")[:40], want: kerr.InvalidRecord.Code},
		{name: "cut in its records", batch: batchOf(1000, "aaaa")[:65], want: kerr.InvalidRecord.Code},
		{name: "no batch at all", batch: []byte("a sentence that has more bytes than seventeen"), want: kerr.CorruptMessage.Code},
		{name: "a few bytes", batch: []byte("short"), want: kerr.InvalidRecord.Code},
		{name: "bytes behind it that begin no other", batch: append(batchOf(1000, "a"), 0, 0)},
		{name: "half a batch behind it", batch: append(batchOf(1000, "a"), batchOf(1000, "b")[:40]...)},
		{name: "garbage behind it", batch: append(batchOf(1000, "a"), make([]byte, 40)...), want: kerr.CorruptMessage.Code},
		{name: "two batches", batch: append(batchOf(1000, "a"), batchOf(1000, "b")...), want: kerr.InvalidRecord.Code},
		{name: "magic 1", batch: edited(batchOf(1000, "a"), func(b []byte) { b[16] = 1 }), want: kerr.InvalidRecord.Code},
		{name: "magic 3", batch: edited(batchOf(1000, "a"), func(b []byte) { b[16] = 3 }), want: kerr.CorruptMessage.Code},
		{name: "base offset", batch: edited(batchOf(1000, "a"), func(b []byte) { b[7] = 1 }), want: kerr.InvalidRecord.Code},
		{name: "too large", batch: batchOf(1000, "aaaaaaaaaaaaaaaaaaaaaaaaaa"), rules: func(r *batchRules) { r.maxBytes = 80 }, want: kerr.MessageTooLarge.Code},
		{name: "too large and wrong CRC", batch: func() []byte { b := batchOf(1000, "aaaaaaaaaaaaaaaaaaaaaaaa"); b[17] ^= 1; return b }(),
			rules: func(r *batchRules) { r.maxBytes = 80 }, want: kerr.MessageTooLarge.Code},
		{name: "wrong CRC", batch: func() []byte { b := batchOf(1000, "a"); b[len(b)-1] ^= 1; return b }(), want: kerr.CorruptMessage.Code},
		{name: "no records", batch: sealBatch(1000, -1, -1, 0, 0, nil), want: kerr.InvalidRecord.Code},
		{name: "count and delta differ", batch: edited(batchOf(1000, "a", "b"), func(b []byte) { be.PutUint32(b[23:], 5) }), want: kerr.InvalidRecord.Code},
		{name: "control batch", batch: sealBatch(1000, -1, -1, 1<<5, 1, batchOf(1000, "a")[61:]), want: kerr.InvalidRecord.Code},
		{name: "producer without sequence", batch: sealBatch(1000, 5, -1, 0, 1, batchOf(1000, "a")[61:]), want: kerr.InvalidRecord.Code},
		{name: "unknown codec", batch: sealBatch(1000, -1, -1, 7, 1, batchOf(1000, "a")[61:]), want: kerr.InvalidRecord.Code},
		{name: "not gzip", batch: sealBatch(1000, -1, -1, codecGzip, 1, batchOf(1000, "a")[61:]), want: kerr.InvalidRecord.Code},
		{name: "more records than the header says", batch: sealBatch(1000, -1, -1, 0, 1, batchOf(1000, "a", "b")[61:]), want: kerr.InvalidRecord.Code},
		{name: "fewer records than the header says", batch: sealBatch(1000, -1, -1, 0, 3, batchOf(1000, "a", "b")[61:]), want: kerr.InvalidRecord.Code},
		{name: "more packed records than the header says", batch: edited(packed(codecZstd, "a", "b"), func(b []byte) { be.PutUint32(b[57:], 1); be.PutUint32(b[23:], 0) }), want: kerr.InvalidRecord.Code},
		{name: "trailing bytes", batch: sealBatch(1000, -1, -1, 0, 1, append(batchOf(1000, "a")[61:], 0)), want: kerr.InvalidRecord.Code},
		{name: "no key on a compacted topic", batch: keyless(), rules: compacted, want: kerr.InvalidRecord.Code, blamed: 1},
		{name: "no key, and too far ahead", batch: sealBatch(now+3_600_001, -1, -1, 0, 1, recordAt(0, nil, 0)), rules: compacted, want: kerr.InvalidRecord.Code, blamed: 1},
		{name: "no key, then too far ahead", batch: sealBatch(1000, -1, -1, 0, 2, append(recordAt(0, nil, 0), recordAt(1, []byte("k"), now+3_600_000)...)), rules: compacted, want: kerr.InvalidTimestamp.Code, blamed: 2},
		{name: "no key elsewhere", batch: keyless()},
		{name: "key on a compacted topic", batch: batchOf(1000, "a"), rules: compacted},
		{name: "too far ahead", batch: batchOf(now+3_600_001, "a", "b"), want: kerr.InvalidTimestamp.Code, blamed: 2},
		{name: "ahead", batch: batchOf(now+3_600_000, "a")},
		{name: "too old", batch: batchOf(now-11, "a"), rules: func(r *batchRules) { r.maxBeforeMs = 10 }, want: kerr.InvalidTimestamp.Code, blamed: 1},
		{name: "no timestamp is never too old", batch: batchOf(-1, "a"), rules: func(r *batchRules) { r.maxBeforeMs = 10 }},
		{name: "client sets the append time bit", batch: sealBatch(1000, -1, -1, 1<<3, 1, batchOf(1000, "a")[61:]), rules: func(r *batchRules) { r.logAppendTime = true }, want: kerr.InvalidTimestamp.Code, blamed: 1},
		{name: "beyond segment.bytes", batch: batchOf(1000, "aaaaaaaaaaaaaaaa"), rules: func(r *batchRules) { r.segmentBytes = 70 }, want: kerr.RecordListTooLarge.Code},
	}
	cs := newCodecs()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules := testRules()
			if tt.rules != nil {
				tt.rules(&rules)
			}
			version := tt.version
			if version == 0 {
				version = 9
			}
			_, _, err := cs.checkBatch(tt.batch, version, now, rules)
			switch {
			case err == nil && tt.want != noError:
				t.Errorf("accepted, want %d", tt.want)
			case err != nil && (err.code != tt.want || len(err.recordErrors) != tt.blamed):
				t.Errorf("error %d (%s), %d records blamed; want %d, %d", err.code, err.text, len(err.recordErrors), tt.want, tt.blamed)
			}
		})
	}
}

func TestLogAppendTimeIsWrittenWithItsOwnCRC(t *testing.T) {
	rules := testRules()
	rules.logAppendTime = true
	out, h, bad := newCodecs().checkBatch(batchOf(1000, "a"), 9, 5555, rules)
	if bad != nil {
		t.Fatal(bad)
	}
	got, err := metadata.ParseBatchHeader(out)
	if err != nil || got != h || got.MaxTimestamp != 5555 || got.Attributes&metadata.AttrLogAppendTime == 0 || got.CRC != metadata.BatchCRC(out) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAClaimOfAppendTimeIsNotBelieved(t *testing.T) {
	out, h, bad := newCodecs().checkBatch(batchWith(1000, -1, -1, metadata.AttrLogAppendTime, "a"), 9, 5555, testRules())
	if bad != nil {
		t.Fatal(bad)
	}
	got, err := metadata.ParseBatchHeader(out)
	if err != nil || got != h || got.Attributes != 0 || got.MaxTimestamp != 1000 || got.CRC != metadata.BatchCRC(out) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWrongGreatestTimestampIsCorrected(t *testing.T) {
	b := edited(batchOf(1000, "a"), func(b []byte) { binary.BigEndian.PutUint64(b[35:], 77) })
	out, h, bad := newCodecs().checkBatch(b, 9, 5555, testRules())
	if bad != nil || h.MaxTimestamp != 1000 || metadata.BatchCRC(out) != h.CRC {
		t.Errorf("%v, %+v", bad, h)
	}
}

func TestCompressionTypeOfTheTopicPacksAnew(t *testing.T) {
	for from := codecNone; from <= codecZstd; from++ {
		for to := codecNone; to <= codecZstd; to++ {
			rules := testRules()
			rules.codec = to
			out, h, bad := newCodecs().checkBatch(packed(from, "a", "b", "c"), 9, 5555, rules)
			if bad != nil {
				t.Fatalf("%d to %d: %v", from, to, bad)
			}
			again, h2, bad := newCodecs().checkBatch(bytes.Clone(out), 9, 5555, testRules())
			if bad != nil || h2 != h || int(h.Attributes&metadata.AttrCompression) != to || h.RecordCount != 3 || len(again) != len(out) {
				t.Errorf("%d to %d: %v %+v", from, to, bad, h2)
			}
		}
	}
}

func TestFlippedBitsNeverPassAsAnotherBatch(t *testing.T) {
	cs := newCodecs()
	for codec := codecNone; codec <= codecZstd; codec++ {
		good := packed(codec, "some", "records")
		for i := range good {
			for bit := range 8 {
				b := bytes.Clone(good)
				b[i] ^= 1 << bit
				// The leader epoch is not covered and not looked at.
				if _, _, err := cs.checkBatch(b, 9, 5555, testRules()); err == nil && (i < 12 || i > 15) {
					t.Fatalf("codec %d: bit %d of byte %d flipped, and accepted", codec, bit, i)
				}
			}
		}
	}
}
