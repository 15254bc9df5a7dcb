package metadata

import (
	"encoding/binary"
	"reflect"
	"testing"
)

// txnEntry uses every command of transactions.
func txnEntry() *Entry {
	t := TopicID{4, 5, 6}
	return &Entry{Level: 1, Session: 0x1234, Lane: LaneControl, Seq: 9, Time: 1_700_000_000_000, Commands: []Command{
		InitTxn{"orders", 7, 3, 60_000}, InitTxn{"fresh", NoProducer, -1, 1},
		AddToTxn{"orders", 7, 3, []TopicPartition{{t, 1}, {t, 2}}, []string{"g"}},
		TxnOffsets{"orders", 7, 3, "g", 44, true, []OffsetCommit{{t, 1, 5, -1, "m", 6}}},
		EndTxn{"orders", 7, 3, true, false, 88}, AbortTxn{"orders", 88, true},
	}}
}

func TestCommandsOfTransactionsComeBackAsTheyWent(t *testing.T) {
	e := txnEntry()
	b, err := AppendEntry(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	var got Entry
	if err := DecodeEntry(b, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Commands, e.Commands) {
		t.Fatalf("got  %+v\nwant %+v", got.Commands, e.Commands)
	}
	golden(t, "entry_txn.v1", b)
}

// A marker is like Kafka's: one control record, with a correct CRC.
func TestMarkerIsAControlBatch(t *testing.T) {
	for _, kind := range []int16{MarkerAbort, MarkerCommit} {
		b := MarkerBatch(Span{First: 1000, Count: 1, Length: MarkerSize, Object: kind, Epoch: 4, Position: 77, MaxTimestamp: 1_700_000_000_000}, false)
		h, err := ParseBatchHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if h.Size != len(b) || h.CRC != BatchCRC(b) || h.BaseOffset != 1000 || h.Producer != 77 || h.Epoch != 4 || h.BaseSequence != -1 ||
			h.RecordCount != 1 || h.Offsets() != 1 || h.Attributes != AttrControl|AttrTransactional {
			t.Fatalf("%+v", h)
		}
		stamped := MarkerBatch(Span{Count: 1, Length: MarkerSize, Object: kind}, true)
		if h, err := ParseBatchHeader(stamped); err != nil || h.Attributes != AttrControl|AttrTransactional|AttrLogAppendTime || h.CRC != BatchCRC(stamped) {
			t.Fatalf("with append time: %+v, %v", h, err)
		}
		record := b[BatchHeaderSize:]
		if n, size := binary.Varint(record); int(n)+size != len(record) {
			t.Fatalf("a record of %d bytes in %d", n, len(record))
		}
		key := record[5:9] // length, attributes, two deltas and the key's length are a byte each
		if commit := binary.BigEndian.Uint16(key[2:]) == 1; binary.BigEndian.Uint16(key) != 0 || commit != (kind == MarkerCommit) {
			t.Fatalf("key % x for kind %d", key, kind)
		}
	}
}

func TestSpanObjectsComeBack(t *testing.T) {
	for _, o := range []int16{MarkerCommit, MarkerAbort, InlineObject, 0, 1, MaxEntryObjects - 1} {
		if got := decodeSpanObject(encodeSpanObject(o)); got != o {
			t.Errorf("%d came back as %d", o, got)
		}
	}
}
