package metadata

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/zonewise/zonewise/internal/costkeys"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// sampleEntry uses every field and every command.
func sampleEntry() *Entry {
	t := TopicID{1, 2, 3}
	return &Entry{Level: 1, Session: 0x1234, Lane: LaneStandard, Seq: 9, Time: 1_700_000_000_000,
		Route:  Route{Broker: "use1-az1", Member: "use1-az1", Leader: "use1-az2", Followers: []ZoneID{"use1-az1", "use1-az4"}},
		Topics: []TopicID{t}, Principals: []string{"User:alice"},
		Objects: []ObjectRef{{ObjectName{0x1234, LaneStandard, 7, 1}, 4096, 2}},
		Orphans: []ObjectRef{{ObjectName{0x1234, LaneStandard, 7, 0}, 0, 1}},
		Parts: []Part{
			{0, 3, 0, 100, 300, []Run{{5, 1, 100, 2, 20, 200, 1_700_000_000_123, 0, false, 0}, {NoProducer, -1, -1, 1, 1, 100, 1_699_999_999_000, 0, false, 0}}},
			{0, 4, InlineObject, 0, 80, []Run{{6, 0, 2147483647, 1, 3, 80, -1, 0, true, 77}}}},
		Inline: bytes.Repeat([]byte{0xab}, 80),
		Commands: []Command{
			OpenSession{NoBroker, "use1-az1", Address{"h", 9092}, []int32{1, 2}, "p:1", "h:2", "v", 1, 1, ClusterID{7, 8}},
			CloseSession{5}, DrainSession{}, ClaimRole{"group-slot-01", 8}, Tick{1_700_000_000_000},
			AcceptArchive{3, "1/archive/x", 4, 9, 2, 1000, [32]byte{9}}, RaiseLevel{2}, CreateTopic{t, "t", 3, 2, map[string]string{"a": "b"}},
			DeleteTopic{t}, CreatePartitions{t, 9}, SetConfigs{ResourceTopic, "x", map[string]string{"k": "v"}, []string{"d"}},
			TrimPartition{t, 1, -1}, AllocateProducers{10}, CommitOffsets{"g", 4, []OffsetCommit{{t, 1, 5, -1, "m", 6}}},
			PutGroup{4, Group{"g", "consumer", "range", "m1", 3, []GroupMember{{"m1", "i", "c", "h", 1, 2, []GroupProtocol{{"range", []byte{1}}}, []byte{2}}}}},
			DeleteGroup{4, "g"}, DeleteOffsets{"g", 4, []TopicPartition{{t, 2}}},
			Usage{1, 2, 3, []Cell{{CellKey{t, costkeys.ComponentFetchReply, "a", "b", "User:x", "g"}, Quantity{Hi: 1, Lo: 2}}}, true},
			RecoverCluster{2, true}, RecordStateHash{}, Pressure{PressureNoInline},
		}}
}

func TestEntryComesBackAsItWent(t *testing.T) {
	e := sampleEntry()
	b, err := AppendEntry(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	var got Entry
	if err := DecodeEntry(b, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&got, e) {
		t.Fatalf("got  %+v\nwant %+v", got, *e)
	}
	golden(t, "entry.v1", b)
}

// golden compares bytes with those of the first release: formats never change,
// N-1 must be readable.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("%s: the encoding changed (%d bytes, golden %d): a new version is needed, not a new golden file", name, len(b), len(want))
	}
}

func sampleArchive(t testing.TB) []byte {
	w := NewArchiveWriter(3, [32]byte{1}, "1/archive/0000000000000002/x-1")
	b, err := AppendEntry(nil, sampleEntry())
	if err != nil {
		t.Fatal(err)
	}
	for i, body := range [][]byte{b, nil, b} {
		if err := w.Add(CommittedEntry{Revision(10 + i), 3, 0x1234, LaneStandard, LaneSeq(9 + i), body}); err != nil {
			t.Fatal(err)
		}
	}
	return w.Finish()
}

func TestArchiveComesBackAsItWent(t *testing.T) {
	b := sampleArchive(t)
	a, err := DecodeArchive(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Entries) != 3 || a.Extent != 3 || a.Predecessor == "" || len(a.Entries[1].Bytes) != 0 {
		t.Fatalf("%+v", a)
	}
	golden(t, "archive.v1", b)
}

func TestCheckpointBytesAreGolden(t *testing.T) {
	w := newWorld(5)
	for range 60 {
		w.step(t)
	}
	var c Checkpointer
	golden(t, "checkpoint.v2", c.Encode(w.state.snapshot(), "1/checkpoint/1-1"))
	l := newSpanLog(t, 1) // a chunk of which most was trimmed, and a tail
	l.add(t, spanChunk+1)
	l.trim(t, 0, spanChunk-6)
	var spans Checkpointer
	golden(t, "checkpoint_spans.v2", spans.Encode(l.s.snapshot(), "1/checkpoint/1-1"))
}

// Every single damaged byte is detected, and no decoder panics on it.
func TestDamageIsNoticed(t *testing.T) {
	entry, err := AppendEntry(nil, sampleEntry())
	if err != nil {
		t.Fatal(err)
	}
	archive := sampleArchive(t)
	for i := range entry {
		b := bytes.Clone(entry)
		b[i] ^= 0x40
		var e Entry
		if err := DecodeEntry(b, &e); err == nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatalf("entry byte %d: %v", i, err)
		}
	}
	for i := range archive {
		b := bytes.Clone(archive)
		b[i] ^= 0x40
		if _, err := DecodeArchive(b); err == nil {
			t.Fatalf("archive byte %d: unnoticed", i)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	for _, e := range []*Entry{sampleEntry(), txnEntry(), memberEntry()} {
		b, err := AppendEntry(nil, e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Entry
		if DecodeEntry(b, &e) != nil {
			return
		}
		again, err := AppendEntry(nil, &e)
		if err != nil {
			t.Fatalf("decoded but does not encode: %v", err)
		}
		var second Entry
		if err := DecodeEntry(again, &second); err != nil || !reflect.DeepEqual(e, second) {
			t.Fatalf("not stable: %v", err)
		}
	})
}

func FuzzDecodeArchive(f *testing.F) {
	f.Add(sampleArchive(f))
	f.Fuzz(func(_ *testing.T, b []byte) { DecodeArchive(b) })
}

func FuzzDecodeCheckpoint(f *testing.F) {
	var c Checkpointer
	w := newWorld(5)
	for range 60 {
		w.step(f)
	}
	f.Add(c.Encode(w.state.snapshot(), "k"))
	l := newSpanLog(f, 2)
	l.add(f, 2*spanChunk)
	l.trim(f, 1, 5)
	var chunks Checkpointer
	f.Add(chunks.Encode(l.s.snapshot(), "k"))
	f.Fuzz(func(t *testing.T, b []byte) {
		LoadCheckpoint(t.Context(), storeOf("k", b), "k")
		LoadCheckpoint(t.Context(), storeOf("k", withIndexChecksum(b)), "k")
	})
}

// withIndexChecksum corrects the checksum of a checkpoint's index, so that a
// damaged one is decoded.
func withIndexChecksum(b []byte) []byte {
	b = bytes.Clone(b)
	if n := len(b) - checkpointTrailerSize; n > 0 {
		if at := binary.BigEndian.Uint64(b[n:]); at < uint64(n) {
			binary.BigEndian.PutUint32(b[n+12:], crc32.Checksum(b[at:n], castagnoli))
		}
	}
	return b
}

// An entry with inconsistent fields is not written.
func TestInvalidEntriesAreNotWritten(t *testing.T) {
	for name, spoil := range map[string]func(*Entry){
		"part beyond its object":   func(e *Entry) { e.Parts[0].Position = 4000 },
		"runs shorter than part":   func(e *Entry) { e.Parts[0].Runs[0].Bytes-- },
		"topic that is not there":  func(e *Entry) { e.Parts[0].Topic = 1 },
		"principal not there":      func(e *Entry) { e.Parts[0].Runs[0].Principal = 1 },
		"too much inline":          func(e *Entry) { e.Inline = make([]byte, MaxInlineBytes+1) },
		"no runs":                  func(e *Entry) { e.Parts[0].Runs = nil },
		"run without records":      func(e *Entry) { e.Parts[0].Runs[0].Records = 0 },
		"lane that does not exist": func(e *Entry) { e.Lane = LaneCount },
		"no session":               func(e *Entry) { e.Session = 0 },
	} {
		e := sampleEntry()
		spoil(e)
		if _, err := AppendEntry(nil, e); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}
