//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// testLength picks a duration by ZONEWISE_INTEGRATION.
func testLength(short, full time.Duration) time.Duration {
	if os.Getenv("ZONEWISE_INTEGRATION") == "full" {
		return full
	}
	return short
}

// printMeasured prints a measurement for the documents.
func printMeasured(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf("MEASURED "+format, args...)
}

// newClient opens a franz-go client of zone z, with its zone's listeners.
func newClient(t *testing.T, c *cluster.Cluster, z int, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	k, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ZoneBootstrap(z)...), kgo.ClientID(fmt.Sprintf("test-%d", z)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DialTimeout(2 * time.Second)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func createTopic(t *testing.T, c *cluster.Cluster, topic string, partitions int32, configs map[string]*string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := kadm.NewClient(newClient(t, c, 0)).CreateTopic(ctx, partitions, -1, configs, topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
}

// endOffsets returns every partition's end offset.
func endOffsets(t *testing.T, c *cluster.Cluster, topic string) map[int32]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(newClient(t, c, 0))
	var listed kadm.ListedOffsets
	for {
		var err error
		if listed, err = admin.ListEndOffsets(ctx, topic); err == nil {
			err = listed.Error()
		}
		if err == nil {
			break
		}
		// kadm returns errors that client libraries retry.
		if !kerr.IsRetriable(err) || ctx.Err() != nil {
			t.Fatalf("list end offsets of %s: %v", topic, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends
}

// readAll reads a topic from its start to the current ends, as a client of zone z,
// and passes each record to seen in order of its partition.
func readAll(t *testing.T, c *cluster.Cluster, z int, topic string, seen func(*kgo.Record)) {
	t.Helper()
	ends := endOffsets(t, c, topic)
	from := map[int32]kgo.Offset{}
	for p := range ends {
		from[p] = kgo.NewOffset().AtStart()
	}
	k := newClient(t, c, z, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	defer k.Close()
	next := map[int32]int64{}
	done := func() bool {
		for p, end := range ends {
			if next[p] < end {
				return false
			}
		}
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for !done() {
		fetches := k.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read %s: %v; at %v of %v", topic, err, next, ends)
		}
		fetches.EachError(func(_ string, p int32, err error) { t.Fatalf("read %s/%d: %v", topic, p, err) })
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset != next[r.Partition] {
				t.Fatalf("read %s/%d: offset %d after %d", topic, r.Partition, r.Offset, next[r.Partition]-1)
			}
			next[r.Partition]++
			seen(r)
		})
	}
}
