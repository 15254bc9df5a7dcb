package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

func (n *node) client(t testing.TB, zone metadata.ZoneID, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	addr := n.addr
	if zone != "" {
		addr = n.zoned[zone]
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestTopicsAreCreatedGrownDescribedTrimmedAndDeleted(t *testing.T) {
	w := newWorld(t)
	n := w.tcp("a", []metadata.ZoneID{"a"}, nil)
	ctx := testContext(t)
	cl := n.client(t, "a")
	adm := kadm.NewClient(cl)
	compact := "compact"
	created, err := adm.CreateTopics(ctx, 3, -1, map[string]*string{"cleanup.policy": &compact}, "one")
	if err != nil || created.Error() != nil || created["one"].NumPartitions != 3 || created["one"].ID == (kadm.TopicID{}) {
		t.Fatalf("%v %v %+v", err, created.Error(), created)
	}
	if text := created["one"].ErrMessage; !strings.Contains(text, "cleanup.policy=compact is not enforced yet") {
		t.Errorf("the message of a compacted topic: %q", text)
	}
	if two, err := adm.CreateTopic(ctx, 3, 1, nil, "two"); err != nil || two.ErrMessage != "" {
		t.Fatalf("%v, message %q", err, two.ErrMessage)
	}
	for name, want := range map[string]error{"one": kerr.TopicAlreadyExists, "a/b": kerr.InvalidTopicException, "..": kerr.InvalidTopicException, "": kerr.InvalidTopicException} {
		got, _ := adm.CreateTopics(ctx, 1, 1, nil, name)
		if !errors.Is(got[name].Err, want) {
			t.Errorf("create %q: %v, want %v", name, got[name].Err, want)
		}
	}
	if got, _ := adm.CreateTopics(ctx, 0, 1, nil, "x"); !errors.Is(got["x"].Err, kerr.InvalidPartitions) {
		t.Errorf("no partitions: %v", got["x"].Err)
	}
	if got, _ := adm.CreateTopics(ctx, 1, 0, nil, "x"); !errors.Is(got["x"].Err, kerr.InvalidReplicationFactor) {
		t.Errorf("no replicas: %v", got["x"].Err)
	}
	nonsense := "nonsense"
	for _, key := range []string{"cleanup.policy", "retention.ms", "no.such.key"} {
		if got, _ := adm.CreateTopics(ctx, 1, 1, map[string]*string{key: &nonsense}, "x"); !errors.Is(got["x"].Err, kerr.InvalidConfig) {
			t.Errorf("config %s: %v", key, got["x"].Err)
		}
	}
	if got, _ := adm.UpdatePartitions(ctx, 2, "one"); !errors.Is(got["one"].Err, kerr.InvalidPartitions) {
		t.Errorf("shrink: %v", got["one"].Err)
	}
	if got, err := adm.UpdatePartitions(ctx, 5, "two"); err != nil || got.Error() != nil {
		t.Errorf("grow: %v %v", err, got.Error())
	}
	if d, err := adm.ListTopics(ctx); err != nil || len(d["two"].Partitions) != 5 || d["two"].Partitions[4].Leader != int32(n.id) {
		t.Errorf("list: %v %+v", err, d["two"])
	}
	if r := cl.ProduceSync(ctx, &kgo.Record{Topic: "one", Partition: 0, Value: []byte("no key")}); !errors.Is(r.FirstErr(), kerr.InvalidRecord) {
		t.Errorf("keyless record on a compacted topic: %v", r.FirstErr())
	}
	man := n.client(t, "a", kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range 10 {
		if err := man.ProduceSync(ctx, &kgo.Record{Topic: "two", Partition: 1, Value: []byte("v"), Timestamp: time.UnixMilli(int64(1000 + i))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	trim := kadm.Offsets{}
	trim.Add(kadm.Offset{Topic: "two", Partition: 1, At: 4})
	trim.Add(kadm.Offset{Topic: "two", Partition: 0, At: 4})
	trim.Add(kadm.Offset{Topic: "one", Partition: 0, At: 0})
	got, err := adm.DeleteRecords(ctx, trim)
	if err != nil || got["two"][1].LowWatermark != 4 || !errors.Is(got["two"][0].Err, kerr.OffsetOutOfRange) || !errors.Is(got["one"][0].Err, kerr.PolicyViolation) {
		t.Errorf("delete records: %v %+v", err, got)
	}
	start, _ := adm.ListStartOffsets(ctx, "two")
	end, _ := adm.ListEndOffsets(ctx, "two")
	mid, err := adm.ListOffsetsAfterMilli(ctx, 1007, "two")
	if start["two"][1].Offset != 4 || end["two"][1].Offset != 10 || err != nil || mid["two"][1].Offset != 7 || mid["two"][1].Timestamp != 1007 {
		t.Errorf("offsets: %+v %+v %+v %v", start, end, mid, err)
	}
	if top, err := adm.ListMaxTimestampOffsets(ctx, "two"); err != nil || top["two"][1].Offset != 9 || top["two"][1].Timestamp != 1009 {
		t.Errorf("greatest timestamp: %+v %v", top, err)
	}
	if got, err := adm.OffsetForLeaderEpoch(ctx, kadm.OffsetForLeaderEpochRequest{"two": {1: 0}}); err != nil || got["two"][1].EndOffset != 10 || got["two"][1].LeaderEpoch != 0 {
		t.Errorf("leader epoch: %+v %v", got, err)
	}
	if got, err := adm.DeleteTopics(ctx, "one", "absent"); err != nil || got["one"].Err != nil || !errors.Is(got["absent"].Err, kerr.UnknownTopicOrPartition) {
		t.Errorf("delete: %v %+v", err, got)
	}
}

func TestConfigsAreReadBackWithSourceAndSynonyms(t *testing.T) {
	w := newWorld(t)
	n := w.tcp("a", []metadata.ZoneID{"a"}, nil)
	ctx := testContext(t)
	adm := kadm.NewClient(n.client(t, "a"))
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": kadm.StringPtr("1000")}, "t"); err != nil {
		t.Fatal(err)
	}
	config := func(name string) kadm.Config {
		t.Helper()
		got, err := adm.DescribeTopicConfigs(ctx, "t")
		if err != nil || got[0].Err != nil {
			t.Fatalf("describe: %v %v", err, got[0].Err)
		}
		i := slices.IndexFunc(got[0].Configs, func(c kadm.Config) bool { return c.Key == name })
		if i < 0 {
			return kadm.Config{}
		}
		return got[0].Configs[i]
	}
	if c := config("retention.ms"); c.MaybeValue() != "1000" || c.Source != kmsg.ConfigSourceDynamicTopicConfig || len(c.Synonyms) != 1 {
		t.Errorf("retention.ms: %+v", c)
	}
	if c := config("cleanup.policy"); c.MaybeValue() != "delete" || c.Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("cleanup.policy: %+v", c)
	}
	if c := config(latencyConfig); c.Key != "" {
		t.Errorf("%s is shown though it is not set", latencyConfig)
	}
	alter := func(op kadm.IncrementalOp, name, value string) error {
		got, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: name, Value: &value}}, "t")
		if err != nil {
			t.Fatal(err)
		}
		return got[0].Err
	}
	if err := alter(kadm.AppendConfig, "cleanup.policy", "compact"); err != nil || value(config("cleanup.policy")) != "delete,compact" {
		t.Errorf("append: %v, %q", err, value(config("cleanup.policy")))
	}
	if err := alter(kadm.SubtractConfig, "cleanup.policy", "delete"); err != nil || value(config("cleanup.policy")) != "compact" {
		t.Errorf("subtract: %v, %q", err, value(config("cleanup.policy")))
	}
	if err := alter(kadm.SetConfig, latencyConfig, "low"); err != nil || value(config(latencyConfig)) != "low" {
		t.Errorf("latency: %v, %q", err, value(config(latencyConfig)))
	}
	if err := alter(kadm.DeleteConfig, "retention.ms", ""); err != nil || config("retention.ms").Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("delete: %v, %+v", err, config("retention.ms"))
	}
	for _, bad := range [][2]string{{"segment.bytes", "1"}, {"no.such", "1"}, {latencyConfig, "high"}, {"min.cleanable.dirty.ratio", "NaN"}} {
		if err := alter(kadm.SetConfig, bad[0], bad[1]); !errors.Is(err, kerr.InvalidConfig) {
			t.Errorf("%s=%s: %v", bad[0], bad[1], err)
		}
	}
	brokers, err := adm.DescribeBrokerConfigs(ctx, int32(n.id))
	if err != nil || brokers[0].Err != nil {
		t.Fatalf("%v %v", err, brokers[0].Err)
	}
	for _, name := range []string{"auto.create.topics.enable", "delete.topic.enable", "log.retention.hours", "message.max.bytes", "default.replication.factor", "num.partitions"} {
		if !slices.ContainsFunc(brokers[0].Configs, func(c kadm.Config) bool { return c.Key == name && c.Value != nil }) {
			t.Errorf("broker config %s is missing", name)
		}
	}
	if got, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Name: "message.max.bytes", Value: kadm.StringPtr("2000")}}); err != nil || got[0].Err != nil {
		t.Fatalf("%v %+v", err, got)
	}
	if c := config("max.message.bytes"); c.MaybeValue() != "2000" || c.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig {
		t.Errorf("max.message.bytes after it was set for all brokers: %+v", c)
	}
}

func TestEachZoneIsToldItsOwnLeadersAndAddresses(t *testing.T) {
	zones := []metadata.ZoneID{"a", "b", "c"}
	w := newWorld(t)
	for _, z := range zones {
		w.tcp(z, zones, nil)
	}
	ctx := testContext(t)
	var replicas string
	for i, z := range zones {
		adm := kadm.NewClient(w.nodes[i].client(t, z))
		if i == 0 {
			if _, err := adm.CreateTopic(ctx, 12, -1, nil, "t"); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			m, err := adm.Metadata(ctx, "t")
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range m.Brokers {
				if want := w.nodes[b.NodeID].zoned[z]; fmt.Sprintf("%s:%d", b.Host, b.Port) != want {
					t.Errorf("zone %s: broker %d at %s:%d, want %s", z, b.NodeID, b.Host, b.Port, want)
				}
			}
			var all []string
			for p, d := range m.Topics["t"].Partitions {
				if w.nodes[d.Leader].zone != z {
					t.Errorf("zone %s: leader of %d is in zone %s", z, p, w.nodes[d.Leader].zone)
				}
				if len(d.Replicas) != 3 || !slices.Equal(d.Replicas, d.ISR) {
					t.Errorf("replicas %v, ISR %v", d.Replicas, d.ISR)
				}
				all = append(all, fmt.Sprint(p, d.Replicas, d.LeaderEpoch))
			}
			slices.Sort(all)
			if now := strings.Join(all, ";"); replicas == "" {
				replicas = now
			} else if now != replicas {
				t.Errorf("zone %s sees other replicas or epochs:\n%s\n%s", z, now, replicas)
			}
		}
	}
}

// Kafka's leader is one of the replicas and in sync; so is the one that a zone's
// clients are told, however few replicas a topic has.
func TestTheLeaderIsOneOfTheReplicas(t *testing.T) {
	zones := []metadata.ZoneID{"a", "b", "c"}
	w := newWorld(t)
	for _, z := range zones {
		w.tcp(z, zones, nil)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, z := range zones {
		adm := kadm.NewClient(w.nodes[i].client(t, z))
		for factor := int16(1); factor <= 3; factor++ {
			topic := fmt.Sprint("t", factor)
			if _, err := adm.CreateTopic(ctx, 12, factor, nil, topic); i == 0 && err != nil {
				t.Fatal(err)
			}
			m, err := adm.Metadata(ctx, topic)
			if err != nil {
				t.Fatal(err)
			}
			for p, d := range m.Topics[topic].Partitions {
				if w.nodes[d.Leader].zone != z || len(d.Replicas) != int(factor) || !slices.Contains(d.Replicas, d.Leader) || !slices.Equal(d.Replicas, d.ISR) {
					t.Errorf("zone %s, partition %d of %s: leader %d of zone %s, replicas %v, ISR %v", z, p, topic, d.Leader, w.nodes[d.Leader].zone, d.Replicas, d.ISR)
				}
			}
		}
	}
}

func TestGroupOfThreeInThreeZonesReadsEverythingOnce(t *testing.T) {
	zones := []metadata.ZoneID{"a", "b", "c"}
	w := newWorld(t)
	for _, z := range zones {
		w.tcp(z, zones, func(c *Config) { c.DefaultPartitions = 6 })
	}
	ctx := testContext(t)
	const total = 3000
	seen := make(chan string, total*2)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for i, z := range zones {
		cl := w.nodes[i].client(t, z, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.AllowAutoTopicCreation(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.HeartbeatInterval(200*time.Millisecond))
		wg.Go(func() {
			for reading.Err() == nil {
				cl.PollFetches(reading).EachRecord(func(r *kgo.Record) { seen <- string(r.Value) })
			}
			cl.CommitUncommittedOffsets(ctx)
		})
	}
	for i, z := range zones {
		cl := w.nodes[i].client(t, z, kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation())
		for k := range total / 3 {
			cl.Produce(ctx, kgo.KeySliceRecord([]byte(fmt.Sprint(k)), []byte(fmt.Sprintf("%s-%d", z, k))), func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := cl.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]int{}
	for len(got) < total {
		select {
		case v := <-seen:
			got[v]++
		case <-ctx.Done():
			t.Fatalf("read %d of %d", len(got), total)
		}
	}
	stop()
	wg.Wait()
	for v, n := range got {
		if n != 1 {
			t.Errorf("%s was read %d times", v, n)
		}
	}
}

func value(c kadm.Config) string { return c.MaybeValue() }

func TestConsumerWithARackIsServedInItsOwnZone(t *testing.T) {
	zones := []metadata.ZoneID{"a", "b", "c"}
	w := newWorld(t)
	for _, z := range zones {
		w.tcp(z, zones, nil)
	}
	ctx := testContext(t)
	adm := kadm.NewClient(w.nodes[0].client(t, "a"))
	if _, err := adm.CreateTopic(ctx, 6, -1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	p := w.nodes[0].client(t, "a", kgo.DefaultProduceTopic("t"))
	read := func(n int) {
		t.Helper()
		for i := range n {
			if err := p.ProduceSync(ctx, kgo.KeySliceRecord([]byte(fmt.Sprint(i)), make([]byte, 10_000))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cl := w.nodes[0].client(t, "", kgo.Rack("c"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	read(50)
	got := 0
	for got < 50 && ctx.Err() == nil {
		got += cl.PollFetches(ctx).NumRecords()
	}
	if got != 50 {
		t.Fatalf("read %d of 50", got)
	}
	for i, n := range w.nodes {
		served := sumOf(n.server.Meter().Take(), func(k metadata.CellKey) (string, bool) { return "", k.Component == costkeys.ComponentBytesOut })[""]
		if (served > 0) != (zones[i] == "c") {
			t.Errorf("zone %s served %d bytes", zones[i], served)
		}
	}
}

func TestDescribedTopicsArePagedAndHaveNoNullLists(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		for _, name := range []string{"b", "a", "c"} {
			r.makeTopic(name, 3)
		}
		q := kmsg.NewPtrDescribeTopicPartitionsRequest()
		q.ResponsePartitionLimit = 2
		got := ""
		for range 10 {
			resp := r.roundTrip(q).(*kmsg.DescribeTopicPartitionsResponse)
			for _, topic := range resp.Topics {
				for _, p := range topic.Partitions {
					got += fmt.Sprintf("%s%d ", *topic.Topic, p.Partition)
					if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil { // Java's TopicCommand throws
						t.Errorf("null list in %+v", p)
					}
				}
			}
			if resp.NextCursor == nil {
				break
			}
			q.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
		}
		if got != "a0 a1 a2 b0 b1 b2 c0 c1 c2 " {
			t.Errorf("pages: %s", got)
		}
	})
}
