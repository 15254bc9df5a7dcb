package metadata

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The meaning of the first release's log never changes: the same archives applied
// by this program give the same state, hash by hash. If this fails, the result of
// apply has changed, and that needs a feature level, not a new golden file.
func TestGoldenLogGivesTheSameStates(t *testing.T) {
	path := filepath.Join("testdata", "log.v1")
	if *rewrite {
		writeGoldenLog(t, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path + ".hashes")
	if err != nil {
		t.Fatal(err)
	}
	s := NewState()
	var got strings.Builder
	for len(b) > 0 {
		n := binary.BigEndian.Uint32(b)
		a, err := DecodeArchive(b[4 : 4+n])
		if err != nil {
			t.Fatal(err)
		}
		b = b[4+n:]
		for i := range a.Entries {
			s.Apply(&a.Entries[i])
		}
		fmt.Fprintf(&got, "%d %d %016x\n", a.Extent, s.revision, s.Hash())
	}
	if got.String() != string(want) {
		t.Errorf("the states differ from those of the first release:\n%s\nwant\n%s", got.String(), want)
	}
}

func writeGoldenLog(t *testing.T, path string) {
	t.Helper()
	w := newWorld(42)
	var log []byte
	var hashes strings.Builder
	var digest [32]byte
	var a *ArchiveWriter
	flush := func(g Extent, hash uint64, rev Revision) {
		body := a.Finish()
		digest = a.digest
		log = binary.BigEndian.AppendUint32(log, uint32(len(body)))
		log = append(log, body...)
		fmt.Fprintf(&hashes, "%d %d %016x\n", g, rev, hash)
	}
	var g Extent
	for range 1500 {
		hash, rev := w.state.Hash(), w.state.revision
		c := w.step(t)
		if c.Extent != g {
			if a != nil {
				flush(g, hash, rev)
			}
			g = c.Extent
			a = NewArchiveWriter(g, digest, "")
		}
		if err := a.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	flush(g, w.state.Hash(), w.state.revision)
	for file, body := range map[string][]byte{path: log, path + ".hashes": []byte(hashes.String())} {
		if err := os.WriteFile(file, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
