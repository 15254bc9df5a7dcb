package framing

import (
	"bytes"
	"testing"
)

// A seed and an index are one case, whenever it is drawn.
func TestACaseIsDrawnAgain(t *testing.T) {
	for i := range 200 {
		a, b := Draw(7, i), Draw(7, i)
		if !bytes.Equal(a.Body, b.Body) || a.String() != b.String() {
			t.Errorf("%v, and again %v", a, b)
		}
	}
}

// Every part that there is comes up.
func TestEveryPartIsDrawn(t *testing.T) {
	seen := map[string]int{}
	for i := range 4000 {
		c := Draw(1, i)
		for _, p := range c.Parts {
			seen[CodecName(c.Codec)+": "+p]++
		}
		if len(c.Body) > 900_000 {
			t.Errorf("%v has %d bytes, which no broker takes by default", c, len(c.Body))
		}
	}
	if len(seen) < 90 {
		t.Errorf("only %d parts were drawn: %v", len(seen), seen)
	}
	t.Logf("%d parts: %v", len(seen), seen)
}
