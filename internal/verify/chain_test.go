package verify

import (
	"slices"
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
