//go:build integration

package integration

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

func TestRecordsOfEveryZoneAreReadInEveryZone(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "basic", 3, nil)
	for z := range cluster.Zones {
		k := newClient(t, c, z)
		for i := range 100 {
			r := &kgo.Record{Topic: "basic", Partition: int32(z), Value: fmt.Appendf(nil, "%d/%d", z, i)}
			if err := k.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatalf("produce in zone %d: %v", z, err)
			}
			if r.Offset != int64(i) {
				t.Fatalf("record %d of zone %d has offset %d", i, z, r.Offset)
			}
		}
	}
	for z := range cluster.Zones {
		n := 0
		readAll(t, c, z, "basic", func(r *kgo.Record) {
			n++
			if want := fmt.Sprintf("%d/%d", r.Partition, r.Offset); string(r.Value) != want {
				t.Fatalf("zone %d read %q, want %q", z, r.Value, want)
			}
		})
		if n != 300 {
			t.Errorf("zone %d read %d records", z, n)
		}
	}
	for i, p := range c.Brokers {
		took, err := p.Terminate()
		if err != nil {
			t.Errorf("broker %d ended with %v on SIGTERM", i, err)
		}
		printMeasured(t, "drain of an idle broker: %v", took)
	}
}
