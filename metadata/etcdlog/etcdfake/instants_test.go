package etcdfake

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoTwoEffectsShareAnInstantUnlessTheyAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i Instants
		at := time.Now().Add(time.Millisecond)
		if got := i.Take(at, "a"); !got.Equal(at) {
			t.Errorf("a free instant moved by %v", got.Sub(at))
		}
		if got := i.Take(at, "b"); !got.Equal(at.Add(1)) {
			t.Errorf("the second came %v after the first, want 1 ns", got.Sub(at))
		}
		if got := i.Take(at, "a"); !got.Equal(at) {
			t.Errorf("the same request moved by %v", got.Sub(at))
		}
		time.Sleep(time.Second)
		for n := range 3 * maxInstants {
			i.Take(time.Now().Add(time.Duration(n)), fmt.Sprint(n))
			time.Sleep(time.Duration(n))
		}
		if len(i.taken) > maxInstants {
			t.Errorf("%d instants kept", len(i.taken))
		}
	})
}
