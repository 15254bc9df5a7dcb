package metadata

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A task of another package runs like metadata's own: on one broker, under its
// role, and on another one once that broker is dead.
func TestATaskFromOutsideRunsOnOneBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name, interval = "retention", 3 * time.Second
		log, store := NewMemLog(), newMemStore()
		var brokers [3]*testBroker
		var calls [3]atomic.Int64
		var epochs [3]atomic.Int64
		for i := range brokers {
			brokers[i] = startBroker(t, log, store, "a", uint64(i), RoleTask{name, interval, func(_ context.Context, role Role) error {
				if role.Name != name || role.Session != brokers[i].session.ID() {
					t.Errorf("broker %d runs under %+v", i, role)
				}
				calls[i].Add(1)
				epochs[i].Store(int64(role.Epoch))
				return nil
			}})
		}
		count := func() (c [3]int64) {
			for i := range calls {
				c[i] = calls[i].Swap(0)
			}
			return c
		}
		time.Sleep(time.Minute)
		first := count()
		holder := slices.IndexFunc(first[:], func(n int64) bool { return n > 0 })
		if holder < 0 || first[holder] < 19 || first[holder] > 21 || first[0]+first[1]+first[2] != first[holder] {
			t.Fatalf("calls in a minute: %v, want about 20 on one broker", first)
		}
		log.ExpireSession(brokers[holder].session.ID())
		brokers[holder].stop()
		count()
		time.Sleep(time.Minute)
		second := count()
		next := slices.IndexFunc(second[:], func(n int64) bool { return n > 0 })
		if next < 0 || next == holder || second[next] < 18 || second[0]+second[1]+second[2] != second[next] {
			t.Fatalf("calls in the minute after broker %d died: %v, want about 20 on another one", holder, second)
		}
		if epochs[next].Load() <= epochs[holder].Load() {
			t.Errorf("epoch %d after %d", epochs[next].Load(), epochs[holder].Load())
		}
		for i, b := range brokers {
			if i != holder {
				b.stop()
			}
		}
	})
}
