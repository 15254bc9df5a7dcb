package s3stream

import (
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// A read that stopped before a hole, because the span behind it did not fit,
// must not serve that span at the offset where the hole begins.
func TestATrailDoesNotBridgeAHole(t *testing.T) {
	behind := metadata.Span{First: 1000, Count: 3, Length: 300, Revision: 7}
	tr := readCursor{known: true, first: behind.First, revision: behind.Revision, object: behind.Object}
	if tr.pointsInto(behind, 736) {
		t.Error("offset 736 is taken for the start of a span that begins at 1000")
	}
	if !tr.pointsInto(behind, 1000) {
		t.Error("a span read from its start does not fit")
	}
}
