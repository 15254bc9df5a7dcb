package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Positions are committed and read by topic id (KIP-848, KIP-1319), and an id
// that is not there is 100 without keeping the others from it.
func TestPositionsGoByTopicID(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 2)
		meta := kmsg.NewPtrMetadataRequest()
		meta.Version = 12
		id := r.roundTrip(meta).(*kmsg.MetadataResponse).Topics[0].TopicID
		gone := [16]byte{1}

		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Version, commit.Group, commit.Generation = 10, "g", -1
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset = 1, 7
		parts := []kmsg.OffsetCommitRequestTopicPartition{part}
		commit.Topics = []kmsg.OffsetCommitRequestTopic{{TopicID: gone, Partitions: parts}, {TopicID: id, Partitions: parts}}
		codes := map[[16]byte]int16{}
		for _, rt := range r.roundTrip(commit).(*kmsg.OffsetCommitResponse).Topics {
			codes[rt.TopicID] = rt.Partitions[0].ErrorCode
		}
		if len(codes) != 2 || codes[id] != 0 || codes[gone] != kerr.UnknownTopicID.Code {
			t.Errorf("OffsetCommit: %v", codes)
		}
		commit.Topics, commit.Group = commit.Topics[:1], "" // who names no topic that is there goes no further
		if got := r.roundTrip(commit).(*kmsg.OffsetCommitResponse).Topics; len(got) != 1 || got[0].Partitions[0].ErrorCode != kerr.UnknownTopicID.Code {
			t.Errorf("OffsetCommit of nothing that is there: %+v", got)
		}

		init := kmsg.NewPtrInitProducerIDRequest()
		init.Version, init.TransactionalID, init.TransactionTimeoutMillis = 4, kmsg.StringPtr("x"), 60_000
		producer := r.roundTrip(init).(*kmsg.InitProducerIDResponse)
		txn := kmsg.NewPtrTxnOffsetCommitRequest()
		txn.Version, txn.TransactionalID, txn.Group, txn.Generation = 6, "x", "g", -1
		txn.ProducerID, txn.ProducerEpoch = producer.ProducerID, producer.ProducerEpoch
		txnPart := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		txnPart.Offset = 9
		txnParts := []kmsg.TxnOffsetCommitRequestTopicPartition{txnPart}
		txn.Topics = []kmsg.TxnOffsetCommitRequestTopic{{TopicID: gone, Partitions: txnParts}, {TopicID: id, Partitions: txnParts}}
		clear(codes)
		for _, rt := range r.roundTrip(txn).(*kmsg.TxnOffsetCommitResponse).Topics {
			codes[rt.TopicID] = rt.Partitions[0].ErrorCode
		}
		if len(codes) != 2 || codes[id] != 0 || codes[gone] != kerr.UnknownTopicID.Code {
			t.Errorf("TxnOffsetCommit: %v", codes)
		}
		end := kmsg.NewPtrEndTxnRequest()
		end.Version, end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = 5, "x", producer.ProducerID, producer.ProducerEpoch, true
		if got := r.roundTrip(end).(*kmsg.EndTxnResponse); got.ErrorCode != 0 {
			t.Fatalf("EndTxn: %+v", got)
		}

		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version = 10
		named := kmsg.NewOffsetFetchRequestGroup()
		named.Group = "g"
		named.Topics = []kmsg.OffsetFetchRequestGroupTopic{{TopicID: gone, Partitions: []int32{0}}, {TopicID: id, Partitions: []int32{0, 1}}}
		all := kmsg.NewOffsetFetchRequestGroup()
		all.Group, all.Topics = "g", nil
		none := kmsg.NewOffsetFetchRequestGroup()
		none.Group, none.Topics = "g", named.Topics[:1]
		fetch.Groups = []kmsg.OffsetFetchRequestGroup{named, all, none}
		got := r.roundTrip(fetch).(*kmsg.OffsetFetchResponse).Groups
		for i, g := range got {
			for _, rt := range g.Topics {
				switch ps := rt.Partitions; {
				case rt.TopicID == gone && i != 1 && ps[0].ErrorCode == kerr.UnknownTopicID.Code && ps[0].Offset == -1:
				case rt.TopicID == id && i != 2 && len(ps) == 2 && ps[0].Offset == 9 && ps[1].Offset == 7:
				default:
					t.Errorf("OffsetFetch, group %d: %+v", i, rt)
				}
			}
		}
		if len(got) != 3 || len(got[0].Topics) != 2 || len(got[1].Topics) != 1 || len(got[2].Topics) != 1 {
			t.Errorf("OffsetFetch: %+v", got)
		}
	})
}
