package verify

import (
	"slices"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

func TestGapsInTheChainOfArchivesAreFound(t *testing.T) {
	archives := func(extents ...metadata.Extent) (out []metadata.ArchiveRef) {
		for _, x := range extents {
			out = append(out, metadata.ArchiveRef{Extent: x})
		}
		return out
	}
	bases := func(extents ...metadata.Extent) (out []metadata.CheckpointRecord) {
		for _, x := range extents {
			out = append(out, metadata.CheckpointRecord{Extent: x, Base: x > 3})
		}
		return out
	}
	f := func(archives []metadata.ArchiveRef, checkpoints []metadata.CheckpointRecord, want ...metadata.Extent) {
		t.Helper()
		if got := missingExtents(archives, checkpoints); !slices.Equal(got, want) {
			t.Errorf("missing %v, want %v", got, want)
		}
	}
	f(nil, bases(5))
	f(archives(1, 2, 3), nil)
	f(archives(1, 2, 4), nil, 3)
	f(archives(1, 5, 6, 7), bases(3, 5, 7)) // an old one with live inline bytes
	f(archives(1, 6, 7), bases(3, 5, 7), 5)
	f(archives(4, 5, 7), bases(5, 7), 6)
}

// An archive that is whole and is another one is damage, too.
func TestCheckArchiveComparesWithTheState(t *testing.T) {
	write := func(x metadata.Extent, predecessor string, entry string) (body []byte, ref metadata.ArchiveRef) {
		t.Helper()
		w := metadata.NewArchiveWriter(x, [32]byte{1}, predecessor)
		if err := w.Add(metadata.CommittedEntry{Revision: 5, Extent: x, Session: 1, Seq: 1, Bytes: []byte(entry)}); err != nil {
			t.Fatal(err)
		}
		body = w.Finish()
		a, err := metadata.DecodeArchive(body)
		if err != nil {
			t.Fatal(err)
		}
		return body, metadata.ArchiveRef{Extent: x, First: 5, Last: 5, Entries: 1, Digest: a.Digest}
	}
	body, ref := write(7, "six", "entry")
	six := metadata.ArchiveRef{Extent: 6, Object: "six", Digest: [32]byte{1}}
	f := func(body []byte, before *metadata.ArchiveRef, want string) {
		t.Helper()
		if got := checkArchive(body, &ref, before); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(body, nil, "")
	f(body, &six, "")
	other, _ := write(7, "six", "ENTRY")
	f(other, &six, "have digest")
	other, _ = write(8, "six", "entry")
	f(other, &six, "of generation 8")
	other, _ = write(7, "five", "entry")
	f(other, &six, "it continues five")
	f(body, &metadata.ArchiveRef{Extent: 6, Object: "six", Digest: [32]byte{2}}, "it continues six with digest 01")
	f(body[1:], nil, "decode archive")
}
