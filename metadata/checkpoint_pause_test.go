package metadata

import (
	"bytes"
	"testing"
)

// An encoding pauses every pauseBytes, and its result is the same, pages of spans
// included.
func TestEncodingRestsAndWritesTheSame(t *testing.T) {
	producers, _ := bigState(t, 2_000, 5)
	spans := newSpanLog(t, 20)
	spans.add(t, 6*spanChunk)
	for name, s := range map[string]*State{"producers": producers, "spans": spans.s} {
		frozen := s.snapshot()
		var plain, gentle Checkpointer
		rests := 0
		gentle.Pause = func() { rests++ }
		want, got := plain.Encode(frozen, "k"), gentle.Encode(frozen, "k")
		if !bytes.Equal(got, want) {
			t.Fatalf("%s: a rested encoding differs", name)
		}
		if least := len(want) / pauseBytes / 2; least == 0 || rests < least {
			t.Fatalf("%s: %d rests in %d bytes, want %d or more", name, rests, len(want), least)
		}
	}
}
