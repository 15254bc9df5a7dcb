package groups

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// A slot that moves has no coordinator for a moment, no more.
func TestAHandOverLeavesNoSlotAloneForLong(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start(1)
		defer a.stop()
		defer a.keep(1)()
		time.Sleep(3 * time.Second)
		b := w.start(2)
		defer b.stop()
		defer b.keep(2)()
		var alone [metadata.GroupSlots]time.Duration
		longest := time.Duration(0)
		const step = 10 * time.Millisecond
		for range 30 * time.Second / step {
			time.Sleep(step)
			for i, slot := range listAllSlots() {
				if a.coord.Owns(slot) || b.coord.Owns(slot) {
					alone[i] = 0
				} else if alone[i] += step; alone[i] > longest {
					longest = alone[i]
				}
			}
		}
		if agree(t, a, b); b.held() < 16 {
			t.Errorf("b holds %d", b.held())
		}
		if longest > 400*time.Millisecond {
			t.Errorf("a slot had no coordinator for %v", longest)
		}
	})
}

// A group that is being formed when its slot is to move is formed first: what its
// members have said would have to be said again, and a new group's would wait
// for each other twice.
func TestAHandOverWaitsForAGroupThatIsBeingFormed(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start(1)
		defer a.stop()
		a.makeTopic()
		defer a.keep(1)()
		time.Sleep(3 * time.Second)
		b := w.start(2)
		defer b.stop()
		defer b.keep(2)()
		time.Sleep(handOverDelay - time.Second)
		var members []*consumer
		for i := range 200 { // of every slot that moves, some
			c := a.consumer("")
			c.group = fmt.Sprint("g", i)
			members = append(members, c)
		}
		begun := time.Now()
		w.gather(members...)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("groups were formed after %v", took)
		}
		time.Sleep(20 * time.Second)
		if agree(t, a, b); b.held() < 16 {
			t.Errorf("b holds %d", b.held())
		}
		moved := 0
		for _, c := range members {
			if b.coord.Owns(metadata.GroupSlot(c.group)) {
				c.n = b
				moved++
			}
			// The session's ten seconds have passed where nobody was heard of.
			if code := c.heartbeat(); code != noError && code != kerr.UnknownMemberID.Code {
				t.Errorf("heartbeat of %s: %d", c.group, code)
			}
		}
		if moved == 0 {
			t.Error("no group moved")
		}
	})
}

// Groups that are always being formed do not keep their slots for ever.
func TestAHandOverDoesNotWaitForEver(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start(1)
		defer a.stop()
		defer a.keep(1)()
		time.Sleep(3 * time.Second)
		b := w.start(2)
		defer b.stop()
		defer b.keep(2)()
		for i := range 200 { // each joins, and never hears of its leader
			c := a.consumer("")
			c.group, c.session = fmt.Sprint("g", i), 5*time.Minute
			go c.join()
		}
		time.Sleep(maxHandOverDelay + 20*time.Second)
		if agree(t, a, b); b.held() < 16 {
			t.Errorf("b holds %d", b.held())
		}
	})
}
