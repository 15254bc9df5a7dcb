package metadata

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// retained is how many spans a partition has after some passes of the retention role.
func retained(t *testing.T, b *testBroker, tp TopicPartition) (spans int) {
	t.Helper()
	time.Sleep(5 * DefaultMaintenanceTimes().Retention)
	b.r.View(func(s *State) {
		v, _ := s.Partition(tp)
		spans = v.Spans
	})
	return spans
}

// A partition that grew while there was no size is trimmed once there is the old size
// again, although nothing is added to it.
func TestASizeThatComesBackIsEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t, NewMemLog(), newMemStore(), "a", 1)
		defer b.stop()
		topic := TopicID{1}
		submit := func(c Command) {
			t.Helper()
			if out, err := b.sub.Submit(t.Context(), []Command{c}, nil); err != nil || out.Commands[0].Code != CodeOK {
				t.Fatalf("%T: %+v, %v", c, out, err)
			}
		}
		setSize := func(bytes string) {
			t.Helper()
			submit(SetConfigs{Resource: ResourceTopic, Name: fmt.Sprintf("%x", topic[:]), Set: map[string]string{"retention.bytes": bytes}})
		}
		add := func(n int) {
			t.Helper()
			for range n {
				b.produceInline(TopicPartition{topic, 0}, make([]byte, 100), 0)
			}
		}
		submit(CreateTopic{topic, "t", 1, 3, map[string]string{"retention.ms": "-1", "retention.bytes": "250"}})
		tp := TopicPartition{topic, 0}
		add(5)
		if n := retained(t, b, tp); n != 3 {
			t.Fatalf("%d spans of 100 bytes are kept within 250", n)
		}
		setSize("-1")
		add(4)
		if n := retained(t, b, tp); n != 7 {
			t.Fatalf("%d spans are kept without a limit, want 7", n)
		}
		setSize("250")
		if n := retained(t, b, tp); n != 3 {
			t.Errorf("%d spans of 100 bytes are kept within 250, which was set before", n)
		}
		setSize("0")
		if n := retained(t, b, tp); n != 0 {
			t.Errorf("%d spans are kept within 0 bytes", n)
		}
	})
}
