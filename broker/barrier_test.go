package broker

import (
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errorIn is an error code that an answer has anywhere; 0: none.
func errorIn(v reflect.Value) int64 {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return errorIn(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			if code := errorIn(v.Index(i)); code != 0 {
				return code
			}
		}
	case reflect.Struct:
		if f := v.FieldByName("ErrorCode"); f.IsValid() && f.Int() != 0 {
			return f.Int()
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				if code := errorIn(v.Field(i)); code != 0 {
					return code
				}
			}
		}
	}
	return 0
}

func topicOf[T any](topic T, set func(*T)) []T { set(&topic); return []T{topic} }

// barredRequests are requests whose answer has to be as new as the log.
func barredRequests() map[string]kmsg.Request {
	offsets := kmsg.NewPtrListOffsetsRequest()
	offsets.Version, offsets.ReplicaID = 5, -1
	offsets.Topics = topicOf(kmsg.NewListOffsetsRequestTopic(), func(t *kmsg.ListOffsetsRequestTopic) {
		t.Topic = "t"
		t.Partitions = topicOf(kmsg.NewListOffsetsRequestTopicPartition(), func(p *kmsg.ListOffsetsRequestTopicPartition) { p.Timestamp = -1 })
	})
	epochs := kmsg.NewPtrOffsetForLeaderEpochRequest()
	epochs.Version = 3
	epochs.Topics = topicOf(kmsg.NewOffsetForLeaderEpochRequestTopic(), func(t *kmsg.OffsetForLeaderEpochRequestTopic) {
		t.Topic = "t"
		t.Partitions = topicOf(kmsg.NewOffsetForLeaderEpochRequestTopicPartition(), func(*kmsg.OffsetForLeaderEpochRequestTopicPartition) {})
	})
	committed := kmsg.NewPtrOffsetFetchRequest()
	committed.Version, committed.Group = 7, "g"
	configs := kmsg.NewPtrDescribeConfigsRequest()
	configs.Version = 3
	configs.Resources = topicOf(kmsg.NewDescribeConfigsRequestResource(), func(r *kmsg.DescribeConfigsRequestResource) {
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	})
	dirs := kmsg.NewPtrDescribeLogDirsRequest()
	dirs.Version = 4
	producers := kmsg.NewPtrDescribeProducersRequest()
	producers.Topics = topicOf(kmsg.NewDescribeProducersRequestTopic(), func(t *kmsg.DescribeProducersRequestTopic) { t.Topic, t.Partitions = "t", []int32{0} })
	txns := kmsg.NewPtrDescribeTransactionsRequest()
	txns.TransactionalIDs = []string{"x"}
	all := kmsg.NewPtrListTransactionsRequest()
	resources := kmsg.NewPtrListConfigResourcesRequest()
	resources.Version = 1
	unknown := kmsg.NewPtrMetadataRequest()
	unknown.Version = 9
	unknown.Topics = topicOf(kmsg.NewMetadataRequestTopic(), func(t *kmsg.MetadataRequestTopic) { t.Topic = kmsg.StringPtr("nobody-knows") })
	beyond := fetchOf(11, 0, -1, 0, fetchWant{topic: "t", offset: 1000})
	return map[string]kmsg.Request{"ListOffsets": offsets, "OffsetForLeaderEpoch": epochs, "OffsetFetch": committed, "DescribeConfigs": configs, "DescribeLogDirs": dirs,
		"DescribeProducers": producers, "DescribeTransactions": txns, "ListTransactions": all, "ListConfigResources": resources,
		"Metadata of an unknown topic": unknown, "Fetch beyond the end": beyond, "CreatePartitions of an unknown topic": func() kmsg.Request {
			q := kmsg.NewPtrCreatePartitionsRequest()
			q.Version = 2
			q.Topics = topicOf(kmsg.NewCreatePartitionsRequestTopic(), func(t *kmsg.CreatePartitionsRequestTopic) { t.Topic, t.Count = "nobody-knows", 3 })
			return q
		}()}
}

// What a broker reads behind a barrier it does not answer where the barrier fails:
// it may be behind by anything. The answer is an error that clients retry.
func TestNothingIsAnsweredFromAStateThatMayBeOld(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 1)
		r.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "x")))
		r.roundTrip(commitOf("g", "t", 1))
		for name, q := range barredRequests() {
			n.w.deaf.Store(true)
			code := errorIn(reflect.ValueOf(r.roundTrip(q)))
			n.w.deaf.Store(false)
			if code := int16(code); code == noError || code == kerr.UnknownTopicOrPartition.Code || code == kerr.OffsetOutOfRange.Code {
				t.Errorf("%s: error %d, as if the state were known to be as new as the log", name, code)
			}
			if name == "Fetch beyond the end" && int16(code) != kerr.KafkaStorageError.Code {
				t.Errorf("%s: error %d, of which Java's consumer dies", name, code)
			}
		}
	})
}

// Requests of which a client sends many at once, one per partition, share the
// barrier's read with those that wait before them: 60 of them take a few reads and
// not 60, and each answer is as new as its own request.
func TestRequestsThatWaitShareABarrier(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 1)
		n.w.barrierDelay.Store(int64(5 * time.Millisecond))
		defer n.w.barrierDelay.Store(0)
		written := int64(0)
		for _, name := range []string{"ListOffsets", "OffsetForLeaderEpoch"} {
			q := barredRequests()[name]
			before := n.w.barrierReads.Load()
			from := r.next
			for range 60 {
				r.send(q)
			}
			for i := range int32(60) {
				if code := errorIn(reflect.ValueOf(r.receive(q, from+1+i))); code != 0 {
					t.Fatalf("%s: error %d", name, code)
				}
			}
			if reads := n.w.barrierReads.Load() - before; reads > 6 || reads == 0 {
				t.Errorf("60 requests of %s took %d reads of the log's end", name, reads)
			}
			for range 3 { // one after another, each sees what was acknowledged before it
				r.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "x")))
				written++
				if end := r.listOffset("t", timeLatest).Offset; end != written {
					t.Errorf("the end is %d, want %d", end, written)
				}
			}
		}
	})
}
