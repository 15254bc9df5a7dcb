//go:build performance

package performance

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zonewise/zonewise/internal/etcdserver"
	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// The size of the state, and the windows of the measurement.
const (
	bigTopics                = 2
	bigPerTopic              = 10_000
	bigProducers             = 25
	bigPairs                 = bigTopics * bigPerTopic * bigProducers
	maintenanceWindows       = 10 // half of them quiet
	maintenanceAim           = 2.0
	maintenanceRecordsPerSec = 200
	settleAfterWrite         = 5 * time.Second
)

// Commits while extents are archived and deleted and checkpoints of a large
// state are written, compared with none of that, in alternating windows. Aim:
// the median p99 is at most twice that of the quiet windows.
func TestCommitsDuringMaintenance(t *testing.T) {
	where := describeMachine(t)
	c := cluster.Start(t, cluster.Options{Broker: map[string]string{}})
	fillState(t, c)
	createTopic(t, c, "probe", 30)
	client, err := etcdserver.Dial(strings.Split(etcdAddresses(c), ","), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	g := &maintenanceGate{t: t, kv: client}
	stream := load{topic: "probe", partitions: 30, perSecond: maintenanceRecordsPerSec, size: oneKiB}
	stream.runLoad(t, c, settleAfterWrite)
	window := testLength(20*time.Second, 30*time.Second)
	if text := os.Getenv("ZONEWISE_PERFORMANCE_WINDOW"); text != "" {
		if window, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	quiet, busy, truncations, checkpoints := measureWindows(t, c, g, stream, window)
	ratio := median(busy) / median(quiet)
	publishSection(t, "care", fmt.Sprintf(`%s

| %d partitions, %d (partition, producer) pairs; %d alternating windows of %v, %d records/s | aim | measured | |
|---|---|---|---|
| commit p99, quiet: median of windows | | %.1f ms (%s) | |
| commit p99, while extents are archived and deleted and checkpoints are written | | %.1f ms (%s) | |
| ratio | <= %.0f | %.2f | %s |
| extents deleted, checkpoints accepted in windows of the second kind | | %d, %d | |
| memory of the largest broker | | %.0f MiB | |
`, where, bigTopics*bigPerTopic, bigPairs, maintenanceWindows, window, maintenanceRecordsPerSec, median(quiet), formatList(quiet), median(busy), formatList(busy),
		maintenanceAim, ratio, verdictText(ratio <= maintenanceAim), truncations, checkpoints, largestPeak(t, processIDs(c.Brokers))))
}

func largestPeak(t *testing.T, pids []int) (most float64) {
	for _, pid := range pids {
		most = max(most, peakMiB(t, pid))
	}
	return most
}

func formatList(all []float64) string {
	var text []string
	for _, v := range all {
		text = append(text, fmt.Sprintf("%.0f", v))
	}
	return strings.Join(text, " ")
}

// measureWindows returns the p99 of each window, in milliseconds.
func measureWindows(t *testing.T, c *cluster.Cluster, g *maintenanceGate, stream load, window time.Duration) (quiet, busy []float64, truncations, checkpoints int) {
	t.Helper()
	for i := range maintenanceWindows {
		maintained := i%2 == 1
		if maintained {
			g.resumeRoles()
		} else {
			g.pauseRoles()
		}
		time.Sleep(time.Second) // work in progress ends
		truncated, pointer := g.keyVersion("truncated"), g.keyVersion("checkpoint")
		p99 := millis(quantile(ackLatencies(stream.runLoad(t, c, window)), 0.99))
		truncated, pointer = g.keyVersion("truncated")-truncated, g.keyVersion("checkpoint")-pointer
		t.Logf("window %d, maintenance %v: p99 %.1f ms, %d extents deleted, %d checkpoints", i+1, maintained, p99, truncated, pointer)
		if maintained {
			busy = append(busy, p99)
			truncations, checkpoints = truncations+int(truncated), checkpoints+int(pointer)
		} else {
			quiet = append(quiet, p99)
			if truncated > 0 || pointer > 0 {
				t.Errorf("window %d should be quiet: %d extents deleted, %d checkpoints", i+1, truncated, pointer)
			}
		}
	}
	g.resumeRoles()
	if truncations == 0 || checkpoints == 0 {
		t.Errorf("nothing to compare with: %d extents deleted, %d checkpoints", truncations, checkpoints)
	}
	return quiet, busy, truncations, checkpoints
}

// fillState writes one record to each partition with each of bigProducers
// idempotent producers.
func fillState(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	topics := make([]string, bigTopics)
	for i := range topics {
		topics[i] = fmt.Sprintf("big-%d", i)
		createTopic(t, c, topics[i], bigPerTopic)
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for p := range bigProducers {
		client := newClient(t, c, p%cluster.Zones, kgo.ProducerLinger(50*time.Millisecond), kgo.MaxBufferedRecords(2*bigPerTopic))
		failed := make(chan error, 1)
		for _, topic := range topics {
			for partition := range bigPerTopic {
				client.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(partition), Value: []byte("x")}, func(_ *kgo.Record, err error) {
					if err != nil {
						select {
						case failed <- err:
						default: // one is enough
						}
					}
				})
			}
		}
		err := client.Flush(ctx)
		select {
		case first := <-failed:
			t.Fatal(first)
		default:
		}
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
	}
	t.Logf("%d pairs written in %v", bigPairs, time.Since(begin).Round(time.Second))
}

func etcdAddresses(c *cluster.Cluster) string {
	var all []string
	for z := range cluster.Zones {
		all = append(all, c.EtcdURL(z))
	}
	return strings.Join(all, ",")
}

// maintenanceGate stops all brokers from archiving and writing checkpoints: it
// puts keys without a lease where a role holder's keys would be.
type maintenanceGate struct {
	t  *testing.T
	kv *clientv3.Client
}

const clusterRoot = "/zonewise/main/"

var maintenanceRoles = [...]string{"archive", "checkpoint"} // as in the keys duty/<name>

func (g *maintenanceGate) pauseRoles() {
	for _, name := range maintenanceRoles {
		key := clusterRoot + "duty/" + name
		ok := false
		for range 1000 { // a broker may take the role between the two requests
			g.deleteKey(key)
			r, err := g.kv.Txn(g.t.Context()).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).Then(clientv3.OpPut(key, "held by a measurement")).Commit()
			if err != nil {
				g.t.Fatal(err)
			}
			if ok = r.Succeeded; ok {
				break
			}
		}
		if !ok {
			g.t.Fatalf("role %s could not be taken", name)
		}
	}
}

func (g *maintenanceGate) resumeRoles() {
	for _, name := range maintenanceRoles {
		g.deleteKey(clusterRoot + "duty/" + name)
	}
}

func (g *maintenanceGate) deleteKey(key string) {
	if _, err := g.kv.Delete(g.t.Context(), key); err != nil {
		g.t.Fatal(err)
	}
}

// keyVersion counts the writes of a key.
func (g *maintenanceGate) keyVersion(name string) int64 {
	r, err := g.kv.Get(g.t.Context(), clusterRoot+name)
	if err != nil {
		g.t.Fatal(err)
	}
	if len(r.Kvs) == 0 {
		return 0
	}
	return r.Kvs[0].Version
}
