package metadata

import (
	"bytes"
	"testing"
)

// An encoding pauses every pauseBytes, and its result is the same.
func TestEncodingRestsAndWritesTheSame(t *testing.T) {
	s, _ := bigState(t, 2_000, 5)
	frozen := s.snapshot()
	var plain, gentle Checkpointer
	rests := 0
	gentle.Pause = func() { rests++ }
	want, got := plain.Encode(frozen, "k"), gentle.Encode(frozen, "k")
	if !bytes.Equal(got, want) {
		t.Fatal("a rested encoding differs")
	}
	if least := len(want) / pauseBytes / 2; least == 0 || rests < least {
		t.Fatalf("%d rests in %d bytes, want %d or more", rests, len(want), least)
	}
}
