package metadata

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Promise 2: apply has no clock, no I/O and no randomness. The files of the
// state, of entries and of their codecs import nothing that could bring one in;
// what runs around apply (the replica, the roles, the log in memory) is listed.
func TestApplyHasNoClockNoIONoRandomness(t *testing.T) {
	around := []string{"apply_times.go", "clock.go", "clock_skew.go", "governor.go", "log.go", "log_failure.go", "memlog.go", "replay.go", "replica.go", "replica_barrier.go", "waiters.go", "checkpoint_load.go"}
	pure := []string{"bytes", "cmp", "container/heap", "crypto/sha256", "encoding/base64", "encoding/binary", "encoding/hex", "errors", "fmt", "hash/crc32", "hash/maphash", "iter", "maps", "math", "math/bits",
		"slices", "sort", "strconv", "strings", "unsafe"}
	// hash/maphash is random, as Go's maps are: it decides where items are in memory.
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || slices.Contains(around, name) || strings.HasPrefix(name, "maintenance") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range f.Imports {
			path := strings.Trim(imported.Path.Value, `"`)
			if !slices.Contains(pure, path) && !strings.HasPrefix(path, "github.com/zonewise/zonewise/") {
				t.Errorf("%s imports %s: apply would not be the same everywhere", name, path)
			}
		}
	}
}

// An entry at which apply panics is refused, with an alarm, and the state goes
// on: the same at every broker, or one bad entry would end all of them.
func TestAnEntryThatPanicsIsRefusedAlikeEverywhere(t *testing.T) {
	var hashes []uint64
	for range 2 {
		w := newWorld(3)
		w.openSession(t, "a")
		w.do1(t, Tick{1_700_000_000_000})
		topics := w.state.topics
		w.state.topics = nil // apply of the next entry fails by a nil pointer
		_, out := w.commit(t, &Entry{Session: w.sessions[0], Commands: []Command{CreateTopic{ID: TopicID{1}, Name: "t", Partitions: 1, ReplicationFactor: 1}}})
		w.state.topics = topics
		if out.Code != CodeRefused || !strings.Contains(out.Text, "panic") {
			t.Fatalf("%+v", out)
		}
		if n, last := w.state.Alarms(); n != 1 || !strings.Contains(last, "panic") {
			t.Errorf("%d alarms, the last %q", n, last)
		}
		w.do1(t, CreateTopic{ID: TopicID{1}, Name: "t", Partitions: 1, ReplicationFactor: 1})
		hashes = append(hashes, w.state.Hash())
	}
	if hashes[0] != hashes[1] {
		t.Errorf("two brokers have the hashes %x after the same entries", hashes)
	}
}

// Promise 6: the name of an object is never used twice: names of different
// sessions, lanes, numbers, tries, incarnations and revisions differ.
func TestNamesOfObjectsAreNeverReused(t *testing.T) {
	names := map[string]bool{}
	add := func(name string) {
		if names[name] {
			t.Errorf("%s stands for two objects", name)
		}
		names[name] = true
	}
	some := []uint64{0, 1, 9, 10, 15, 16, 255, 256, 1<<31 - 1, 1 << 40}
	for _, a := range some {
		for _, b := range some {
			for _, try := range []int{0, 1, 2, 10} {
				for lane := range LaneCount {
					add(ObjectName{SessionID(a), Lane(lane), b, uint8(try)}.Key())
				}
				add(ArchiveKey(Incarnation(try+1), Extent(a), SessionID(b), try))
			}
			add(CheckpointKey(1, Revision(a), SessionID(b)))
			add(CheckpointKey(2, Revision(a), SessionID(b)))
		}
	}
	if len(names) < 1000 {
		t.Fatalf("only %d names", len(names))
	}
}
