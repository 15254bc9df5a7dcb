package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func TestLogDirsTellTheTrueSizeOfEachPartitionOnce(t *testing.T) {
	zones := []metadata.ZoneID{"a", "b", "c"}
	w := newWorld(t)
	for _, z := range zones {
		w.tcp(z, zones, nil)
	}
	ctx := testContext(t)
	cl := w.nodes[0].client(t, "a", kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopics(ctx, 12, -1, nil, "t", "empty"); err != nil {
		t.Fatal(err)
	}
	for p := range int32(12) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: make([]byte, 1000*(p+1))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	told, tellers := map[string]int64{}, map[int32]bool{}
	all, err := adm.DescribeAllLogDirs(ctx, nil)
	if err != nil || len(all) != 3 {
		t.Fatalf("%v, %d brokers", err, len(all))
	}
	all.Each(func(d kadm.DescribedLogDir) {
		if d.Err != nil || d.Dir != logDir {
			t.Errorf("%+v", d)
		}
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			k := fmt.Sprint(p.Topic, p.Partition)
			if _, twice := told[k]; twice {
				t.Errorf("%s was told by two brokers", k)
			}
			told[k], tellers[d.Broker] = p.Size, true
		})
	})
	if len(told) != 24 || len(tellers) != 3 {
		t.Errorf("%d partitions told by %d brokers, want 24 by 3", len(told), len(tellers))
	}
	for p := range 12 {
		if n := told[fmt.Sprint("t", p)]; n < int64(1000*(p+1)) || n > int64(1000*(p+1)+120) {
			t.Errorf("partition %d: %d bytes", p, n)
		}
		if n := told[fmt.Sprint("empty", p)]; n != 0 {
			t.Errorf("empty partition %d: %d bytes", p, n)
		}
	}
	one := kadm.TopicsSet{}
	one.Add("t", 3)
	all, err = adm.DescribeAllLogDirs(ctx, one)
	n := 0
	all.Each(func(d kadm.DescribedLogDir) { d.Topics.Each(func(kadm.DescribedLogDirPartition) { n++ }) })
	if err != nil || n != 1 {
		t.Errorf("%v, %d partitions of the one asked for", err, n)
	}
}

func TestReplicasCannotBeMovedNorElectedBeyondWhatThereIs(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 2)
		elect := kmsg.NewPtrElectLeadersRequest()
		elect.Version = 2
		elect.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0, 9}}, {Topic: "absent", Partitions: []int32{0}}}
		got := r.roundTrip(elect).(*kmsg.ElectLeadersResponse)
		if got.ErrorCode != 0 || got.Topics[0].Partitions[0].ErrorCode != 84 || got.Topics[0].Partitions[1].ErrorCode != 3 || got.Topics[1].Partitions[0].ErrorCode != 3 {
			t.Errorf("elect: %+v", got)
		}
		elect.Topics = nil
		if got := r.roundTrip(elect).(*kmsg.ElectLeadersResponse); got.ErrorCode != 0 || len(got.Topics) == 0 || len(got.Topics[0].Partitions) != 0 {
			t.Errorf("elect everywhere: %+v", got)
		}
		if elect.ElectionType = 7; r.roundTrip(elect).(*kmsg.ElectLeadersResponse).ErrorCode != 42 {
			t.Error("an unknown type of election was accepted")
		}

		list := r.roundTrip(kmsg.NewPtrListPartitionReassignmentsRequest()).(*kmsg.ListPartitionReassignmentsResponse)
		if list.ErrorCode != 0 || len(list.Topics) != 0 {
			t.Errorf("list: %+v", list)
		}

		self := int32(n.id)
		for _, c := range []struct {
			name     string
			topic    string
			part     int32
			replicas []int32
			forbid   bool
			want     int16
		}{
			{"to the same broker", "t", 0, []int32{self}, false, 0},
			{"cancelled", "t", 0, nil, false, 85},
			{"to nobody", "t", 0, []int32{}, false, 39},
			{"to a stranger", "t", 1, []int32{self, 99}, false, 39},
			{"twice to one", "t", 1, []int32{self, self}, false, 39},
			{"of a partition that is not", "t", 2, []int32{self}, false, 3},
			{"of a topic that is not", "absent", 0, []int32{self}, false, 3},
			{"with the same factor", "t", 0, []int32{self}, true, 0},
		} {
			q := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			q.Version, q.AllowReplicationFactorChange = 1, !c.forbid
			q.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: c.topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: c.part, Replicas: c.replicas}}}}
			got := r.roundTrip(q).(*kmsg.AlterPartitionAssignmentsResponse)
			if got.ErrorCode != 0 || got.Topics[0].Partitions[0].ErrorCode != c.want {
				t.Errorf("reassignment %s: %+v, want %d", c.name, got, c.want)
			}
		}

		move := kmsg.NewPtrAlterReplicaLogDirsRequest()
		move.Version = 2
		move.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{
			{Dir: logDir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "t", Partitions: []int32{0, 5}}}},
			{Dir: "/elsewhere", Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "t", Partitions: []int32{1}}}}}
		moved := r.roundTrip(move).(*kmsg.AlterReplicaLogDirsResponse)
		if len(moved.Topics) != 1 || fmt.Sprint(moved.Topics[0].Partitions[0].ErrorCode, moved.Topics[0].Partitions[1].ErrorCode, moved.Topics[0].Partitions[2].ErrorCode) != "0 3 57" {
			t.Errorf("move: %+v", moved)
		}
	})
}

func TestFeaturesAreLoweredAndRaisedAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		shown := func() string {
			q := kmsg.NewPtrApiVersionsRequest()
			q.Version, q.ClientSoftwareName, q.ClientSoftwareVersion = 4, "test", "1"
			got := r.roundTrip(q).(*kmsg.ApiVersionsResponse)
			out := ""
			for _, f := range got.FinalizedFeatures {
				out += fmt.Sprintf("%s %d, ", f.Name, f.MaxVersionLevel)
			}
			return out
		}
		if got := shown(); got != "metadata.version 33, transaction.version 2, group.version 1, " {
			t.Errorf("at first %s", got)
		}
		for _, c := range []struct {
			name    string
			level   int16
			kind    int8
			version int16
			want    int16
		}{
			{"metadata.version", 33, 1, 2, 0},
			{"metadata.version", 33, 0, 0, 0},
			{"metadata.version", 26, 2, 1, 95},
			{"metadata.version", 34, 1, 1, 95},
			{"metadata.version", 33, 0, 1, 95},
			{"no.such.feature", 1, 1, 2, 95},
			{"transaction.version", 1, 1, 2, 95}, // it says upgrade
			{"transaction.version", 1, 0, 0, 95}, // and here no downgrade is allowed
			{"transaction.version", 3, 1, 2, 95},
			{"transaction.version", -1, 2, 2, 95},
			{"transaction.version", 2, 2, 2, 0},
			{"transaction.version", 1, 2, 2, 0},
			{"transaction.version", 2, 2, 2, 95}, // up again by a downgrade
			{"group.version", 0, 3, 1, 0},
		} {
			q := kmsg.NewPtrUpdateFeaturesRequest()
			q.Version = c.version
			q.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: c.name, MaxVersionLevel: c.level, UpgradeType: c.kind}}
			got := r.roundTrip(q).(*kmsg.UpdateFeaturesResponse)
			if got.ErrorCode != c.want || (c.version < 2 && c.want == 0) != (len(got.Results) == 1) {
				t.Errorf("%+v: %+v", c, got)
			}
		}
		if got := shown(); got != "metadata.version 33, transaction.version 1, " {
			t.Errorf("lowered %s", got)
		}
		beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		beat.Group, beat.SubscribedTopicNames, beat.RebalanceTimeoutMillis = "g", []string{"t"}, 1000
		if got := r.roundTrip(beat).(*kmsg.ConsumerGroupHeartbeatResponse); got.ErrorCode != 35 {
			t.Errorf("the consumer protocol without group.version: %+v", got)
		}
	})
}

func TestOnlyClientsThatProduceOrFetchAreCounted(t *testing.T) {
	w := newWorld(t)
	w.tcp("a", []metadata.ZoneID{"a", "b"}, nil)
	n := w.nodes[0]
	ctx := testContext(t)
	clients := func() (now int64) {
		for _, c := range n.server.Clients().Snapshot() {
			now += c.Now
		}
		return now
	}
	adm := kadm.NewClient(n.client(t, "b"))
	if _, err := adm.CreateTopic(ctx, 1, -1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "t", At: 0})
	if err := adm.CommitAllOffsets(ctx, "g", offsets); err != nil {
		t.Fatal(err)
	}
	if n := clients(); n != 0 {
		t.Errorf("%d clients counted that neither produce nor fetch", n)
	}
	p := n.client(t, "b", kgo.DefaultProduceTopic("t"))
	if err := p.ProduceSync(ctx, kgo.StringRecord("v")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if n := clients(); n != 1 {
		t.Errorf("%d clients, want the producer's connection alone", n)
	}
}

func TestWhoIsNotAuthenticatedIsKafkasAnonymous(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 1)
		r.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "a")))
		cells := n.server.Meter().Take()
		if len(cells) == 0 {
			t.Fatal("nothing was counted")
		}
		for _, c := range cells {
			if c.Key.Principal != "User:ANONYMOUS" {
				t.Errorf("%+v", c.Key)
			}
		}
	})
}

func TestDescribedTopicsFollowTheCursorAsKafkaDoes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		for _, name := range []string{"a", "b", "d"} {
			r.makeTopic(name, 2)
		}
		for _, c := range []struct {
			name   string
			limit  int32
			cursor *kmsg.DescribeTopicPartitionsRequestCursor
			topics []string
			want   string
		}{
			{name: "all", limit: 2000, want: "a0:2 b0:2 d0:2"},
			{name: "no limit means one", limit: 0, want: "a0:1 next a1"},
			{name: "a negative limit means one", limit: -5, want: "a0:1 next a1"},
			{name: "a full topic points to the next", limit: 2, want: "a0:2 next b0"},
			{name: "in the middle", limit: 3, cursor: &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "a", Partition: 1}, want: "a0:1 b0:2 next d0"},
			{name: "of a topic that is gone", limit: 3, cursor: &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "c", Partition: 1}, want: "d0:2"},
			{name: "beyond the topic's end", limit: 3, cursor: &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "d", Partition: 7}, want: "d0:0"},
			{name: "unknown and bad names", limit: 9, topics: []string{"x", "a", "a b"}, want: "a0:2 a b17:0 x3:0"},
			{name: "before the first partition", limit: 9, topics: []string{"a"}, cursor: &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "a", Partition: -1}, want: "a42:0"},
		} {
			q := kmsg.NewPtrDescribeTopicPartitionsRequest()
			q.ResponsePartitionLimit, q.Cursor = c.limit, c.cursor
			for _, name := range c.topics {
				q.Topics = append(q.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
			}
			resp := r.roundTrip(q).(*kmsg.DescribeTopicPartitionsResponse)
			got := ""
			for _, rt := range resp.Topics {
				got += fmt.Sprintf(" %s%d:%d", *rt.Topic, rt.ErrorCode, len(rt.Partitions))
			}
			if resp.NextCursor != nil {
				got += fmt.Sprintf(" next %s%d", resp.NextCursor.Topic, resp.NextCursor.Partition)
			}
			if got != " "+c.want {
				t.Errorf("%s: got%s, want %s", c.name, got, c.want)
			}
		}
	})
}

func TestToolsOfKadmWork(t *testing.T) {
	w := newWorld(t)
	n := w.tcp("a", []metadata.ZoneID{"a"}, nil)
	ctx := testContext(t)
	adm := kadm.NewClient(n.client(t, "a"))
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	which := kadm.TopicsSet{}
	which.Add("t", 0)
	if got, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, which); err != nil || !errors.Is(got["t"][0].Err, kerr.ElectionNotNeeded) {
		t.Errorf("elect: %v %+v", err, got)
	}
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign("t", 0, []int32{int32(n.id)})
	if got, err := adm.AlterPartitionAssignments(ctx, req); err != nil || got.Error() != nil {
		t.Errorf("reassign: %v %+v", err, got)
	}
	if got, err := adm.ListPartitionReassignments(ctx, which); err != nil || len(got) != 0 {
		t.Errorf("list: %v %+v", err, got)
	}
	if got, err := adm.AlterAllReplicaLogDirs(ctx, kadm.AlterReplicaLogDirsReq{logDir: which}); err != nil || len(got) == 0 {
		t.Errorf("move: %v %+v", err, got)
	}
}

func TestBrokersSayWhereTheAskersZoneFindsThem(t *testing.T) {
	zones := []metadata.ZoneID{"a", "b"}
	w := newWorld(t)
	for _, z := range zones {
		w.tcp(z, zones, nil)
	}
	for _, from := range zones {
		adm := kadm.NewClient(w.nodes[0].client(t, from))
		for _, n := range w.nodes {
			all, err := adm.DescribeBrokerConfigs(testContext(t), int32(n.id))
			if err != nil || all[0].Err != nil {
				t.Fatalf("%v, %+v", err, all)
			}
			i := slices.IndexFunc(all[0].Configs, func(c kadm.Config) bool { return c.Key == "advertised.listeners" })
			if i < 0 {
				t.Fatalf("broker %d does not say where it listens", n.id)
			}
			if c := all[0].Configs[i]; c.MaybeValue() != "PLAINTEXT://"+n.zoned[from] || c.Source != kmsg.ConfigSourceStaticBrokerConfig {
				t.Errorf("broker %d to zone %s: %q of source %v, want %s", n.id, from, c.MaybeValue(), c.Source, n.zoned[from])
			}
		}
	}
}
