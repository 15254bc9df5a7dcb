package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Small rules of answers in which clients of Apache Kafka may see a broker
// that is another; each was found by the comparison with Kafka.
func TestAnswersAreShapedAsKafkas(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *node, dial func() *raw) { shapes(t, dial()) })
}

func shapes(t *testing.T, c *raw) {
	c.makeTopic("shape", 1)

	cluster := kmsg.NewPtrDescribeClusterRequest()
	cluster.Version, cluster.EndpointType = 1, 2
	if got := c.roundTrip(cluster).(*kmsg.DescribeClusterResponse); got.ErrorCode != 114 || got.ClusterID != "" {
		t.Errorf("controllers asked for: error %d, cluster %q; want 114 and none", got.ErrorCode, got.ClusterID)
	}

	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, "g"
	if got := c.roundTrip(find).(*kmsg.FindCoordinatorResponse); got.ErrorMessage == nil || *got.ErrorMessage != "NONE" {
		t.Errorf("FindCoordinator 3: message %v, want NONE", got.ErrorMessage)
	}

	list := kmsg.NewPtrListOffsetsRequest()
	list.Version, list.ReplicaID = 7, -1
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Timestamp = -1
	list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "shape", Partitions: []kmsg.ListOffsetsRequestTopicPartition{part, part}}}
	if got := c.roundTrip(list).(*kmsg.ListOffsetsResponse).Topics[0].Partitions; len(got) != 1 || got[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("a partition named twice: %+v; want one answer, 42", got)
	}

	meta := kmsg.NewPtrMetadataRequest()
	meta.Version = 9
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("shape")
	meta.Topics = []kmsg.MetadataRequestTopic{topic, topic}
	if got := c.roundTrip(meta).(*kmsg.MetadataResponse).Topics; len(got) != 1 {
		t.Errorf("a topic named twice: %d answers, want 1", len(got))
	}

	drop := kmsg.NewPtrDeleteTopicsRequest()
	drop.Version = 6
	drop.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("shape")}, {Topic: kmsg.StringPtr("shape")}}
	if got := c.roundTrip(drop).(*kmsg.DeleteTopicsResponse).Topics; len(got) != 1 || got[0].ErrorCode != kerr.InvalidRequest.Code || got[0].ErrorMessage == nil {
		t.Errorf("a topic deleted twice: %+v; want one answer, 42 and a reason", got)
	}

	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Version = 3
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "shape", Count: 2}, {Topic: "shape", Count: 3}}
	if got := c.roundTrip(grow).(*kmsg.CreatePartitionsResponse).Topics; len(got) != 1 || got[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("a topic grown twice: %+v; want one answer, 42", got)
	}

	half := kmsg.NewPtrInitProducerIDRequest()
	half.Version, half.ProducerID, half.ProducerEpoch = 4, 7, -1
	if got := c.roundTrip(half).(*kmsg.InitProducerIDResponse); got.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("a producer id without an epoch: %d, want 42", got.ErrorCode)
	}

	describe := kmsg.NewPtrDescribeConfigsRequest()
	describe.Version = 4
	describe.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "shape"}}
	if got := c.roundTrip(describe).(*kmsg.DescribeConfigsResponse).Resources[0]; got.ErrorMessage == nil || *got.ErrorMessage != "" {
		t.Errorf("configs described: message %v, want an empty one", got.ErrorMessage)
	}

	produce := kmsg.NewPtrProduceRequest()
	produce.Version, produce.Acks, produce.TimeoutMillis = 9, -1, 1000
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "shape"}}
	if got := c.roundTrip(produce).(*kmsg.ProduceResponse).Topics; len(got) != 0 {
		t.Errorf("a topic without partitions: %d answers, want none", len(got))
	}
	produce.Topics[0].Partitions = []kmsg.ProduceRequestTopicPartition{{Records: edited(batchOf(1000, "a"), func(b []byte) { b[60] = 7 })}}
	if got := c.roundTrip(produce).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != kerr.InvalidRecord.Code || got.LogStartOffset != 0 {
		t.Errorf("refused by the log: error %d, log start %d; want 87 and 0", got.ErrorCode, got.LogStartOffset)
	}
	produce.Topics[0].Partitions[0].Records = []byte("short")
	if got := c.roundTrip(produce).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != kerr.InvalidRecord.Code || got.LogStartOffset != -1 {
		t.Errorf("refused before it: error %d, log start %d; want 87 and -1", got.ErrorCode, got.LogStartOffset)
	}
}

// A broker that keeps topics says so, in the words of the version that asks.
func TestABrokerMayBeToldToDeleteNoTopics(t *testing.T) {
	inBubble(t, func(c *Config) { c.KeepTopics = true }, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		for version, want := range map[int16]int16{2: kerr.InvalidRequest.Code, 3: kerr.TopicDeletionDisabled.Code, 6: kerr.TopicDeletionDisabled.Code} {
			q := kmsg.NewPtrDeleteTopicsRequest()
			q.Version, q.TopicNames = version, []string{"t"}
			q.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t")}}
			if got := r.roundTrip(q).(*kmsg.DeleteTopicsResponse).Topics; len(got) != 1 || got[0].ErrorCode != want {
				t.Errorf("version %d: %+v, want %d", version, got, want)
			}
		}
		q := kmsg.NewPtrDescribeConfigsRequest()
		q.Version = 4
		q.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "0", ConfigNames: []string{"delete.topic.enable"}}}
		if got := r.roundTrip(q).(*kmsg.DescribeConfigsResponse).Resources[0].Configs; len(got) != 1 || *got[0].Value != "false" {
			t.Errorf("delete.topic.enable: %+v", got)
		}
	})
}

// A client that means another broker or cluster is told to begin anew
// (KIP-1242); one that names half of it is at fault; one that names nothing, as
// at its bootstrap servers, is answered by any.
func TestWhoeverIsMeantAnswersApiVersions(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		mine := testCluster.String()
		meta := kmsg.NewPtrMetadataRequest()
		meta.Version = 12
		if got := *dial().roundTrip(meta).(*kmsg.MetadataResponse).ClusterID; got != mine {
			t.Errorf("cluster id %q, want %q", got, mine)
		}
		for _, c := range []struct {
			cluster *string
			node    int32
			want    int16
		}{
			{nil, -1, 0},
			{&mine, int32(n.id), 0},
			{kmsg.StringPtr("another"), int32(n.id), kerr.RebootstrapRequired.Code},
			{kmsg.StringPtr(""), int32(n.id), kerr.RebootstrapRequired.Code},
			{&mine, int32(n.id) + 1, kerr.RebootstrapRequired.Code},
			{&mine, -1, kerr.InvalidRequest.Code},
			{nil, int32(n.id), kerr.InvalidRequest.Code},
		} {
			q := kmsg.NewPtrApiVersionsRequest()
			q.Version, q.ClientSoftwareName, q.ClientSoftwareVersion, q.ClusterID, q.NodeID = 5, "test", "1", c.cluster, c.node
			got := dial().roundTrip(q).(*kmsg.ApiVersionsResponse)
			if got.ErrorCode != c.want || (len(got.ApiKeys) > 0) != (c.want == 0) {
				t.Errorf("%+v: error %d, %d APIs", c, got.ErrorCode, len(got.ApiKeys))
			}
			if q.Version = 4; dial().roundTrip(q).(*kmsg.ApiVersionsResponse).ErrorCode != 0 {
				t.Errorf("version 4, which names nobody, is refused")
			}
		}
	})
}

// The first offset that is not tiered yet (KIP-1023): nothing is tiered.
func TestNothingWaitsToBeTiered(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		produce := kmsg.NewPtrProduceRequest()
		produce.Version, produce.Acks, produce.TimeoutMillis = 9, -1, 1000
		produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batchOf(1000, "a")}}}}
		if got := r.roundTrip(produce).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != 0 {
			t.Fatalf("produce: %+v", got)
		}
		for version, want := range map[int16]int16{10: kerr.UnsupportedVersion.Code, 11: 0} {
			q := kmsg.NewPtrListOffsetsRequest()
			q.Version, q.ReplicaID = version, -1
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Timestamp = -6
			q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{part}}}
			if got := r.roundTrip(q).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; got.ErrorCode != want || got.Offset != -1 {
				t.Errorf("version %d: %+v, want %d and -1", version, got, want)
			}
		}
	})
}

// More replicas than brokers are what a broker that is told to check refuses;
// others take them, so that a cluster may become smaller.
func TestReplicasBeyondTheBrokersAreRefusedOnDemand(t *testing.T) {
	for _, check := range []bool{false, true} {
		inBubble(t, func(c *Config) { c.CheckReplication = check }, func(t *testing.T, _ *node, dial func() *raw) {
			r := dial()
			for replicas, want := range map[int16]int16{-1: 0, 1: 0, 2: kerr.InvalidReplicationFactor.Code} {
				q := kmsg.NewPtrCreateTopicsRequest()
				q.Version, q.ValidateOnly = 7, true
				topic := kmsg.NewCreateTopicsRequestTopic()
				topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, replicas
				q.Topics = []kmsg.CreateTopicsRequestTopic{topic}
				if !check {
					want = 0
				}
				got := r.roundTrip(q).(*kmsg.CreateTopicsResponse).Topics[0]
				if got.ErrorCode != want || (got.ErrorMessage != nil) != (want != 0) {
					t.Errorf("check %v, %d replicas: error %d, want %d", check, replicas, got.ErrorCode, want)
				}
			}
		})
	}
}
