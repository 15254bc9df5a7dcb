package broker

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/test/testenv/logtext"
)

// atLimits runs a test in a bubble against one broker whose cluster has lower
// limits; said is its log.
func atLimits(t *testing.T, lower func(*metadata.Limits), f func(t *testing.T, n *node, r *raw, said *logtext.Text)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		limits := metadata.DefaultLimits()
		lower(&limits)
		w.limits = &limits
		var said logtext.Text
		ln := newPipeListener()
		n := w.start("a", nil, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&said, nil)) },
			func() (net.Listener, string, int32) { return ln, "pipe", 1 })
		c := ln.dial()
		defer c.Close()
		f(t, n, &raw{t: t, c: c}, &said)
		n.close()
	})
}

// A Produce that the limit of spans refuses is to be tried again, a second
// later, and succeeds as it is once there is room: no record is dropped.
func TestProduceAtALimitIsRetriable(t *testing.T) {
	atLimits(t, func(l *metadata.Limits) { l.Spans = 3 }, func(t *testing.T, n *node, r *raw, said *logtext.Text) {
		id := r.makeTopic("t", 1)
		other := r.makeTopic("other", 1)
		r.roundTrip(produceOf(9, "other", other, -1, batchOf(nowMs(), "x")))
		taken := 0
		var refused []byte
		for i := int32(0); refused == nil; i++ {
			b := batchWith(nowMs(), 7, i, 0, fmt.Sprint(i))
			resp := r.roundTrip(produceOf(9, "t", id, -1, b)).(*kmsg.ProduceResponse)
			switch code := resp.Topics[0].Partitions[0].ErrorCode; {
			case code == 0 && resp.ThrottleMillis == 0 && i < 10:
				taken++
			case code == kerr.NotEnoughReplicas.Code && resp.ThrottleMillis == 1000:
				refused = b
			default:
				t.Fatalf("batch %d: code %d, throttle time %d ms", i, code, resp.ThrottleMillis)
			}
		}
		if taken == 0 || testutil.ToFloat64(n.server.metrics.refusedBatches) != 1 {
			t.Errorf("%d batches taken, %v counted as refused", taken, testutil.ToFloat64(n.server.metrics.refusedBatches))
		}
		if text := said.String(); strings.Count(text, "ALARM") != 1 || !strings.Contains(text, "spans 3 of 3") {
			t.Errorf("the log says %q", text)
		}
		d := kmsg.NewPtrDeleteTopicsRequest()
		d.Version, d.TopicNames = 4, []string{"other"}
		r.roundTrip(d)
		resp := r.roundTrip(produceOf(9, "t", id, -1, refused)).(*kmsg.ProduceResponse)
		if got := resp.Topics[0].Partitions[0]; got.ErrorCode != 0 || got.BaseOffset != int64(taken) {
			t.Errorf("again, with room: code %d at offset %d", got.ErrorCode, got.BaseOffset)
		}
	})
}

// What each API answers at a limit is a code upon which clients try it again.
func TestLimitCodes(t *testing.T) {
	txnID := "tx"
	cases := []struct {
		name  string
		lower func(*metadata.Limits)
		ask   func(r *raw) int16
		want  int16
	}{
		{"CreateTopics", func(l *metadata.Limits) { l.Topics = 1 }, func(r *raw) int16 { return r.createCode(7, "u", 1) }, kerr.ThrottlingQuotaExceeded.Code},
		{"CreateTopics before the code existed", func(l *metadata.Limits) { l.Topics = 1 }, func(r *raw) int16 { return r.createCode(4, "u", 1) }, kerr.RequestTimedOut.Code},
		{"CreateTopics, partitions", func(l *metadata.Limits) { l.Partitions = 2 }, func(r *raw) int16 { return r.createCode(7, "u", 2) }, kerr.ThrottlingQuotaExceeded.Code},
		{"CreatePartitions", func(l *metadata.Limits) { l.Partitions = 2 }, func(r *raw) int16 {
			q := kmsg.NewPtrCreatePartitionsRequest()
			q.Version = 3
			q.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 9}}
			return r.roundTrip(q).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode
		}, kerr.ThrottlingQuotaExceeded.Code},
		{"Metadata", func(l *metadata.Limits) { l.Topics = 1 }, func(r *raw) int16 {
			q := kmsg.NewPtrMetadataRequest()
			q.Version, q.AllowAutoTopicCreation = 9, true
			name := "first"
			q.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
			return r.roundTrip(q).(*kmsg.MetadataResponse).Topics[0].ErrorCode
		}, kerr.ThrottlingQuotaExceeded.Code},
		{"Produce, producers", func(l *metadata.Limits) { l.Producers = 1 }, func(r *raw) int16 {
			r.roundTrip(produceOf(9, "t", metadata.TopicID{}, -1, batchWith(nowMs(), 7, 0, 0, "x")))
			return r.roundTrip(produceOf(9, "t", metadata.TopicID{}, -1, batchWith(nowMs(), 8, 0, 0, "x"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		}, kerr.NotEnoughReplicas.Code},
		{"Produce, producers of a partition", func(l *metadata.Limits) { l.PartitionProducers = 1 }, func(r *raw) int16 {
			r.roundTrip(produceOf(9, "t", metadata.TopicID{}, -1, batchWith(nowMs(), 7, 0, 0, "x")))
			return r.roundTrip(produceOf(9, "t", metadata.TopicID{}, -1, batchWith(nowMs(), 8, 0, 0, "x"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		}, kerr.NotEnoughReplicas.Code},
		{"Produce, objects", func(l *metadata.Limits) { l.Objects = 0 }, func(r *raw) int16 {
			return r.roundTrip(produceOf(9, "t", metadata.TopicID{}, -1, batchOf(nowMs(), strings.Repeat("x", 200<<10)))).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		}, kerr.NotEnoughReplicas.Code},
		{"InitProducerId", func(l *metadata.Limits) { l.Txns = 0 }, func(r *raw) int16 {
			q := kmsg.NewPtrInitProducerIDRequest()
			q.Version, q.TransactionalID, q.TransactionTimeoutMillis = 4, &txnID, 10_000
			return r.roundTrip(q).(*kmsg.InitProducerIDResponse).ErrorCode
		}, kerr.CoordinatorLoadInProgress.Code},
		{"OffsetCommit", func(l *metadata.Limits) { l.GroupOffsets = 0 }, func(r *raw) int16 {
			return r.roundTrip(commitOf("g", "t", 0)).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
		}, kerr.CoordinatorLoadInProgress.Code},
		{"SyncGroup", func(l *metadata.Limits) { l.Groups = 0 }, func(r *raw) int16 { return r.joinAndSync("g", 1) }, kerr.CoordinatorNotAvailable.Code},
		{"ConsumerGroupHeartbeat", func(l *metadata.Limits) { l.Members = 0 }, func(r *raw) int16 {
			q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			q.Version, q.Group, q.MemberID, q.RebalanceTimeoutMillis = 1, "g", "m", 10_000
			q.SubscribedTopicNames, q.Topics = []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			return r.roundTrip(q).(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode
		}, kerr.CoordinatorLoadInProgress.Code},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			atLimits(t, c.lower, func(t *testing.T, n *node, r *raw, _ *logtext.Text) {
				r.makeTopic("t", 1)
				if got := c.ask(r); got != c.want {
					t.Errorf("code %d, want %d", got, c.want)
				}
			})
		})
	}
}

// A transaction that itself grows too large is told so: to try it again as it
// is would not help.
func TestATransactionsOwnLimitIsFinal(t *testing.T) {
	atLimits(t, func(l *metadata.Limits) { l.TxnParts = 1 }, func(t *testing.T, n *node, r *raw, _ *logtext.Text) {
		r.makeTopic("t", 2)
		id := "tx"
		init := kmsg.NewPtrInitProducerIDRequest()
		init.Version, init.TransactionalID, init.TransactionTimeoutMillis = 4, &id, 10_000
		p := r.roundTrip(init).(*kmsg.InitProducerIDResponse)
		q := kmsg.NewPtrAddPartitionsToTxnRequest()
		q.Version, q.TransactionalID, q.ProducerID, q.ProducerEpoch = 3, id, p.ProducerID, p.ProducerEpoch
		q.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
		for _, part := range r.roundTrip(q).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions {
			if part.ErrorCode != kerr.PolicyViolation.Code {
				t.Errorf("partition %d: code %d", part.Partition, part.ErrorCode)
			}
		}
	})
}

// joinAndSync makes a generation of one member that has so much metadata for
// each of its protocols, and returns SyncGroup's code.
func (r *raw) joinAndSync(group string, sizes ...int) int16 {
	r.t.Helper()
	q := kmsg.NewPtrJoinGroupRequest()
	q.Version, q.Group, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis, q.ProtocolType = 3, group, 10_000, 10_000, "raw"
	for i, size := range sizes {
		q.Protocols = append(q.Protocols, kmsg.JoinGroupRequestProtocol{Name: fmt.Sprint("p", i), Metadata: make([]byte, size)})
	}
	joined := r.roundTrip(q).(*kmsg.JoinGroupResponse)
	if joined.ErrorCode != noError {
		r.t.Errorf("JoinGroup: %d", joined.ErrorCode)
	}
	s := kmsg.NewPtrSyncGroupRequest()
	s.Version, s.Group, s.MemberID, s.Generation = 3, group, joined.MemberID, joined.Generation
	return r.roundTrip(s).(*kmsg.SyncGroupResponse).ErrorCode
}

// createCode asks for a topic and returns the code.
func (r *raw) createCode(version int16, name string, partitions int32) int16 {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.Version = version
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	q.Topics = append(q.Topics, topic)
	return r.roundTrip(q).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
}
