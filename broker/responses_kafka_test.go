package broker

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A later leader epoch than any broker can have told is 75, also where the
// offset is out of range, and a later one than data has is unknown: each
// was an allowed difference that no client needed.
func TestEpochsFromTheFutureAreRefused(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		for epoch, want := range map[int32]int16{-1: 0, 0: 0, 900: kerr.UnknownLeaderEpoch.Code} {
			list := kmsg.NewPtrListOffsetsRequest()
			list.Version, list.ReplicaID = 7, -1
			lp := kmsg.NewListOffsetsRequestTopicPartition()
			lp.Timestamp, lp.CurrentLeaderEpoch = timeLatest, epoch
			list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{lp}}}
			if got := r.roundTrip(list).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; got.ErrorCode != want {
				t.Errorf("ListOffsets, epoch %d: error %d, want %d", epoch, got.ErrorCode, want)
			}
			ofle := kmsg.NewPtrOffsetForLeaderEpochRequest()
			ofle.Version = 4
			op := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			op.CurrentLeaderEpoch = epoch
			ofle.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{op}}}
			if got := r.roundTrip(ofle).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]; got.ErrorCode != want || (got.EndOffset == 0) != (want == 0) {
				t.Errorf("OffsetForLeaderEpoch, epoch %d: %+v, want %d", epoch, got, want)
			}
			ofle.Topics[0].Partitions[0].LeaderEpoch = 700
			if got := r.roundTrip(ofle).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]; got.LeaderEpoch != -1 || got.EndOffset != -1 {
				t.Errorf("OffsetForLeaderEpoch of epoch 700: %+v, want none", got)
			}
			fetch := kmsg.NewPtrFetchRequest()
			fetch.Version, fetch.ReplicaID, fetch.MaxBytes, fetch.SessionEpoch = 11, -1, 1000, -1
			fetch.MinBytes, fetch.MaxWaitMillis = 1, 10_000
			fp := kmsg.NewFetchRequestTopicPartition()
			fp.CurrentLeaderEpoch, fp.PartitionMaxBytes = epoch, 1000
			for offset, code := range map[int64]int16{0: want, 77: max(want, kerr.OffsetOutOfRange.Code)} {
				fp.FetchOffset = offset
				fetch.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{fp}}}
				asked := time.Now()
				if got := r.roundTrip(fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0]; got.ErrorCode != code {
					t.Errorf("Fetch from %d, epoch %d: error %d, want %d", offset, epoch, got.ErrorCode, code)
				}
				if waited := time.Since(asked); code != 0 && waited > time.Second {
					t.Errorf("Fetch from %d, epoch %d: told after %v", offset, epoch, waited)
				}
			}
		}
	})
}

// What Kafka answers to requests that tools and tests of clients make by
// mistake.
func TestMistakesAreAnsweredAsByKafka(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)

		meta := kmsg.NewPtrMetadataRequest()
		meta.Version = 12
		id := r.roundTrip(meta).(*kmsg.MetadataResponse).Topics[0].TopicID
		meta.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("t")}, {}}
		if got := r.roundTrip(meta).(*kmsg.MetadataResponse); len(got.Brokers) != 0 || got.ClusterID != nil || len(got.Topics) != 2 || got.Topics[0].ErrorCode != -1 || *got.Topics[1].Topic != "" {
			t.Errorf("a topic of neither name nor id: %+v", got)
		}

		describe := kmsg.NewPtrDescribeTopicPartitionsRequest()
		describe.ResponsePartitionLimit = 10
		describe.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: ""}, {Topic: "a b"}}
		if got := r.roundTrip(describe).(*kmsg.DescribeTopicPartitionsResponse).Topics; len(got) != 2 || got[0].ErrorCode != -1 || got[1].ErrorCode != kerr.InvalidTopicException.Code {
			t.Errorf("no name and a bad one: %+v", got)
		}

		producers := kmsg.NewPtrDescribeProducersRequest()
		producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{7}}, {Topic: "gone", Partitions: []int32{0}}}
		if got := r.roundTrip(producers).(*kmsg.DescribeProducersResponse).Topics; got[0].Partitions[0].ErrorMessage != nil || got[1].Partitions[0].ErrorMessage == nil {
			t.Errorf("producers of what is not there: %+v; want a text for the topic alone", got)
		}

		grow := kmsg.NewPtrCreatePartitionsRequest()
		grow.Version, grow.Topics = 3, []kmsg.CreatePartitionsRequestTopic{{Topic: "gone", Count: 2}}
		if got := r.roundTrip(grow).(*kmsg.CreatePartitionsResponse).Topics[0]; got.ErrorCode != kerr.UnknownTopicOrPartition.Code || got.ErrorMessage != nil {
			t.Errorf("partitions of no topic: %+v", got)
		}

		cancel := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		cancel.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{}}}}
		if got := r.roundTrip(cancel).(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[0]; got.ErrorCode != kerr.NoReassignmentInProgress.Code || got.ErrorMessage != nil {
			t.Errorf("no reassignment to cancel: %+v", got)
		}

		features := kmsg.NewPtrUpdateFeaturesRequest()
		features.Version = 1
		features.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "transaction.version", MaxVersionLevel: 2, UpgradeType: 1}}
		if got := r.roundTrip(features).(*kmsg.UpdateFeaturesResponse).Results; len(got) != 1 || got[0].ErrorMessage == nil || *got[0].ErrorMessage != "NONE" {
			t.Errorf("a feature that is as wanted: %+v", got)
		}

		drop := kmsg.NewPtrDeleteTopicsRequest()
		drop.Version = 6
		drop.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t")}, {TopicID: id}}
		if got := r.roundTrip(drop).(*kmsg.DeleteTopicsResponse).Topics; len(got) != 1 || got[0].ErrorCode != kerr.InvalidRequest.Code || got[0].TopicID != id || *got[0].Topic != "t" {
			t.Errorf("a topic deleted by name and by id: %+v; want one answer, 42", got)
		}
	})
}

// A transaction that has ended is shown with its start, until its id begins
// anew; a marker of transaction version 2 has a later epoch than it.
func TestTransactionsAreShownAndAbortedAsByKafka(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		begin := func() *kmsg.InitProducerIDResponse {
			init := kmsg.NewPtrInitProducerIDRequest()
			init.Version, init.TransactionalID, init.TransactionTimeoutMillis = 4, kmsg.StringPtr("x"), 60_000
			return r.roundTrip(init).(*kmsg.InitProducerIDResponse)
		}
		p := begin()
		started := func() int64 {
			q := kmsg.NewPtrDescribeTransactionsRequest()
			q.TransactionalIDs = []string{"x"}
			return r.roundTrip(q).(*kmsg.DescribeTransactionsResponse).TransactionStates[0].StartTimestamp
		}
		if got := started(); got != -1 {
			t.Errorf("before the first transaction: start %d", got)
		}
		add := kmsg.NewPtrAddPartitionsToTxnRequest()
		add.Version, add.TransactionalID, add.ProducerID, add.ProducerEpoch = 3, "x", p.ProducerID, p.ProducerEpoch
		add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		r.roundTrip(add)
		began := started()
		for epoch, want := range []int16{kerr.InvalidProducerEpoch.Code, 0} {
			abort := kmsg.NewPtrWriteTxnMarkersRequest()
			abort.Version = 2
			m := kmsg.NewWriteTxnMarkersRequestMarker()
			m.ProducerID, m.ProducerEpoch, m.TransactionVersion = p.ProducerID, p.ProducerEpoch+int16(epoch), 2
			m.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "t", Partitions: []int32{0}}}
			abort.Markers = append(abort.Markers, m)
			if got := r.roundTrip(abort).(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions[0].ErrorCode; got != want {
				t.Errorf("a marker of epoch +%d: error %d, want %d", epoch, got, want)
			}
		}
		if got := started(); began <= 0 || got != began {
			t.Errorf("after the transaction: start %d, was %d", got, began)
		}
		if begin(); started() != -1 {
			t.Errorf("begun anew: start %d", started())
		}
	})
}
