package node

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// startNode runs a broker on loopback over a MemLog and a memory bucket.
func startNode(t *testing.T, log *metadata.MemLog, b bucket.Bucket, zone metadata.ZoneID, others int) (*Node, map[int]string) {
	t.Helper()
	addrs := map[int]string{}
	var ports []int32
	lns := map[int]net.Listener{}
	for k := -1; k < others; k++ {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		lns[k], addrs[k] = ln, ln.Addr().String()
		if k >= 0 {
			ports = append(ports, int32(ln.Addr().(*net.TCPAddr).Port))
		}
	}
	cfg := DefaultConfig()
	cfg.Cluster, cfg.Zone, cfg.Log, cfg.Bucket = "main", zone, log, b
	cfg.Kafka = metadata.Address{Host: "127.0.0.1", Port: int32(lns[NoZone].Addr().(*net.TCPAddr).Port)}
	cfg.ZonePorts = ports
	cfg.Listen = func(_ metadata.ZoneID, k int) (net.Listener, error) { return lns[k], nil }
	cfg.InlineLimit = func() int { return metadata.MaxInlineBytes }
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cfg.Rand = rand.New(rand.NewPCG(1, uint64(len(zone))+uint64(zone[0])))
	cfg.Metrics = prometheus.NewRegistry()
	cfg.RebalanceDelay = 0
	cfg.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
	n, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := n.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return n, addrs
}

// A record produced in one zone is read in the other, by a group, at the
// offset of its ack.
func TestRecordsGoThrough(t *testing.T) {
	log, b := metadata.NewMemLog(), bucket.NewMem()
	first, aAddrs := startNode(t, log, b, "a", 2)
	second, bAddrs := startNode(t, log, b, "b", 2)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	producer, err := kgo.NewClient(kgo.SeedBrokers(aAddrs[0]), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	want := map[int64]string{}
	for i := range 200 {
		value := fmt.Sprintf("v%d", i)
		r := producer.ProduceSync(ctx, kgo.StringRecord(value))
		if err := r.FirstErr(); err != nil {
			t.Fatal(err)
		}
		want[r[0].Record.Offset] = value
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(bAddrs[1]), kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	got := 0
	for got < len(want) {
		f := consumer.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		f.EachRecord(func(r *kgo.Record) {
			if want[r.Offset] != string(r.Value) {
				t.Errorf("offset %d: %q, want %q", r.Offset, r.Value, want[r.Offset])
			}
			got++
		})
	}
	if err := consumer.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	// The broker that accepted the records spent the cluster's inline
	// bytes, and the other one counts them.
	spent := first.WALStats().InlineBytes
	if seen := second.governor.Stats().Others.InlineBytes; spent == 0 || uint64(seen) != spent {
		t.Errorf("one broker spent %d inline bytes, the other has seen %d", spent, seen)
	}
	if seen := first.governor.Stats().Others.InlineBytes; seen != 0 {
		t.Errorf("a broker takes %d inline bytes of its own for another's", seen)
	}
}

// A drained broker leaves with everything it took acknowledged.
func TestDrainLeavesNothingBehind(t *testing.T) {
	log, b := metadata.NewMemLog(), bucket.NewMem()
	first, aAddrs := startNode(t, log, b, "a", 2)
	_, bAddrs := startNode(t, log, b, "b", 2)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	producer, err := kgo.NewClient(kgo.SeedBrokers(aAddrs[0], bAddrs[0]), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	failed := make(chan error, 1000)
	for i := range 300 {
		producer.Produce(ctx, kgo.StringRecord(fmt.Sprint(i)), func(_ *kgo.Record, err error) { failed <- err })
		if i == 150 {
			if err := first.Drain(ctx); err != nil {
				t.Errorf("drain: %v", err)
			}
			first.Close()
		}
	}
	for range 300 {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}

// Two clusters of one name, as with the default name, have two ids, and all
// brokers of one have the same.
func TestClustersOfOneNameHaveDifferentIDs(t *testing.T) {
	var ids []string
	for _, zones := range [][2]metadata.ZoneID{{"a", "b"}, {"c", "d"}} { // the random source follows the zone
		log, b := metadata.NewMemLog(), bucket.NewMem()
		_, first := startNode(t, log, b, zones[0], 2)
		_, second := startNode(t, log, b, zones[1], 2)
		for _, addr := range []string{first[0], second[0]} {
			client, err := kgo.NewClient(kgo.SeedBrokers(addr))
			if err != nil {
				t.Fatal(err)
			}
			got, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client)
			client.Close()
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, *got.ClusterID)
		}
	}
	if ids[0] != ids[1] || ids[2] != ids[3] || ids[0] == ids[2] || len(ids[0]) != 22 {
		t.Errorf("ids %q", ids)
	}
}
