package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/metadata"
)

// stored makes an archive and a checkpoint as a broker writes them.
func stored(t *testing.T) (archive, checkpoint []byte) {
	t.Helper()
	const session = metadata.SessionID(0x2a)
	entries := []metadata.Entry{
		{Commands: []metadata.Command{metadata.OpenSession{Want: metadata.NoBroker, Zone: "dev-a", Kafka: metadata.Address{Host: "h", Port: 1}, MinLevel: 1, MaxLevel: 1}}},
		{Commands: []metadata.Command{metadata.CreateTopic{ID: metadata.TopicID{7}, Name: "orders", Partitions: 2, ReplicationFactor: 3}},
			Route: metadata.Route{Broker: "dev-a", Member: "dev-a", Leader: "dev-b"}},
		{Topics: []metadata.TopicID{{7}}, Principals: []string{"anyone"}, Inline: make([]byte, 70),
			Parts: []metadata.Part{{Object: metadata.InlineObject, Length: 70, Runs: []metadata.Run{{Producer: 5, FirstSequence: 0, Batches: 1, Records: 3, Bytes: 70, MaxTimestamp: 1}}}}},
	}
	state := metadata.NewState()
	w := metadata.NewArchiveWriter(1, [32]byte{}, "")
	for i := range entries {
		e := &entries[i]
		e.Level, e.Session, e.Lane, e.Seq, e.Time = 1, session, metadata.LaneControl, metadata.LaneSeq(i+1), 1_700_000_000_000
		body, err := metadata.AppendEntry(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		c := metadata.CommittedEntry{Revision: metadata.Revision(100 + i), Extent: 1, Session: session, Lane: e.Lane, Seq: e.Seq, Bytes: body}
		if out, _ := state.Apply(&c); out.Code != metadata.CodeOK {
			t.Fatal(out)
		}
		if err := w.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	return w.Finish(), new(metadata.Checkpointer).Encode(state, metadata.CheckpointKey(1, state.Revision(), session))
}

func TestDumpPrintsStoredThings(t *testing.T) {
	archive, checkpoint := stored(t)
	dir := t.TempDir()
	key := metadata.CheckpointKey(1, 102, 0x2a)
	for name, body := range map[string][]byte{"main/1/archive/0000000000000001/000000000000002a-1": archive, "main/" + key: checkpoint} {
		put(t, filepath.Join(dir, name), body)
	}
	for name, args := range map[string][]string{
		"dump-archive.txt":          {"archive", filepath.Join(dir, "main/1/archive/0000000000000001/000000000000002a-1")},
		"dump-archive-bucket.txt":   {"archive", "main/1/archive/0000000000000001/000000000000002a-1", "--bucket", dir},
		"dump-checkpoint.txt":       {"checkpoint", key, "--bucket", dir},
		"dump-state.txt":            {"state", "--bucket", dir},
		"dump-state-checkpoint.txt": {"state", "--bucket", dir, "--checkpoint", key},
	} {
		code, out, stderr := zonewise(t, append([]string{"dump"}, args...)...)
		if code != cli.ExitOK {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
		golden(t, name, out)
	}
}

func TestDumpPrintsAnInlineObject(t *testing.T) {
	w := metadata.NewInlineWriter()
	for i := range 2 {
		if err := w.AddInline(metadata.Revision(9+i), make([]byte, 70)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "inline")
	put(t, path, w.Finish())
	code, out, stderr := zonewise(t, "dump", "inline", path)
	if code != cli.ExitOK {
		t.Errorf("exit %d, %s", code, stderr)
	}
	golden(t, "dump-inline.txt", out)
	put(t, path, w.Finish()[:80])
	if code, out, _ := zonewise(t, "dump", "inline", path); code != cli.ExitFailure || !strings.Contains(out, "damaged: ") {
		t.Errorf("exit %d, %s", code, out)
	}
}

// Pages of spans are printed by partition.
func TestDumpPrintsTheSpansOfACheckpoint(t *testing.T) {
	const session = metadata.SessionID(0x2a)
	state, revision := metadata.NewState(), metadata.Revision(100)
	apply := func(e metadata.Entry) {
		revision++
		e.Level, e.Session, e.Lane, e.Seq, e.Time = 1, session, metadata.LaneControl, metadata.LaneSeq(revision-100), 1_700_000_000_000
		body, err := metadata.AppendEntry(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		if out, _ := state.Apply(&metadata.CommittedEntry{Revision: revision, Extent: 1, Session: session, Lane: e.Lane, Seq: e.Seq, Bytes: body}); out.Code != metadata.CodeOK {
			t.Fatal(out)
		}
	}
	apply(metadata.Entry{Commands: []metadata.Command{metadata.OpenSession{Want: metadata.NoBroker, Zone: "dev-a", Kafka: metadata.Address{Host: "h", Port: 1}, MinLevel: 1, MaxLevel: 1}}})
	apply(metadata.Entry{Commands: []metadata.Command{metadata.CreateTopic{ID: metadata.TopicID{7}, Name: "orders", Partitions: 2, ReplicationFactor: 3}}})
	for range 1100 {
		apply(metadata.Entry{Topics: []metadata.TopicID{{7}}, Principals: []string{"anyone"}, Inline: make([]byte, 70),
			Parts: []metadata.Part{{Partition: 1, Object: metadata.InlineObject, Length: 70,
				Runs: []metadata.Run{{Producer: metadata.NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 3, Bytes: 70, MaxTimestamp: 1}}}}})
	}
	apply(metadata.Entry{Commands: []metadata.Command{metadata.TrimPartition{Topic: metadata.TopicID{7}, Partition: 1, LogStart: 1000}}})
	path := filepath.Join(t.TempDir(), "checkpoint")
	put(t, path, new(metadata.Checkpointer).Encode(state, metadata.CheckpointKey(1, revision, session)))
	code, out, stderr := zonewise(t, "dump", "checkpoint", path)
	if code != cli.ExitOK {
		t.Errorf("exit %d, %s", code, stderr)
	}
	golden(t, "dump-checkpoint-spans.txt", out)
}

func put(t *testing.T, path string, body []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDumpSaysWhatIsWrongWithADamagedThing(t *testing.T) {
	archive, checkpoint := stored(t)
	later := func(b []byte) []byte { return append(append(bytes.Clone(b[:4]), 9, 9), b[6:]...) }
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	for _, c := range []struct {
		name, what string
		body       []byte
		want       string
	}{
		{"archive cut", "archive", archive[:len(archive)-3], "no trailer"},
		{"archive flipped", "archive", flip(archive, 90), "digest"},
		{"archive index flipped", "archive", flip(archive, len(archive)-80), "checksum"},
		{"archive of later", "archive", later(archive), "version"},
		{"no archive", "archive", []byte("hello"), "no trailer"},
		{"empty", "archive", nil, "no trailer"},
		{"checkpoint cut", "checkpoint", checkpoint[:len(checkpoint)-1], "not a checkpoint"},
		{"checkpoint flipped", "checkpoint", flip(checkpoint, len(checkpoint)-30), "checksum"},
		{"checkpoint of later", "checkpoint", later(checkpoint), "version"},
		{"object of nothing", "object", []byte("hello"), ""},
		{"object that is an archive", "object", archive, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "thing")
			put(t, path, c.body)
			code, out, stderr := zonewise(t, "dump", c.what, path)
			if code != cli.ExitFailure || !strings.Contains(out, "damaged: ") || !strings.Contains(out+stderr, c.want) {
				t.Errorf("exit %d\n%s\n%s, want %q", code, out, stderr, c.want)
			}
		})
	}
	if code, _, stderr := zonewise(t, "dump", "archive", "nowhere", "--bucket", t.TempDir()); code != cli.ExitFailure || !strings.Contains(stderr, "not found") {
		t.Errorf("absent: exit %d, %s", code, stderr)
	}
}

func TestAnEntryThatCannotBeDecodedIsShownAmongTheOthers(t *testing.T) {
	var out bytes.Buffer
	w := metadata.NewArchiveWriter(1, [32]byte{}, "")
	for i, body := range [][]byte{nil, []byte("rubbish")} {
		if err := w.Add(metadata.CommittedEntry{Revision: metadata.Revision(i + 1), Extent: 1, Session: 1, Seq: metadata.LaneSeq(i + 1), Bytes: body}); err != nil {
			t.Fatal(err)
		}
	}
	if err := printArchive(&out, w.Finish()); err == nil || !strings.Contains(out.String(), "guard had failed") || !strings.Contains(out.String(), "damaged: ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
