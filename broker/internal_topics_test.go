package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The first request for a coordinator makes Kafka's internal topics; they are
// shown as internal, and nobody but the admin client can write to them.
func TestInternalTopicsAppearWithTheFirstCoordinator(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		internal := func() map[string]kmsg.MetadataResponseTopic {
			q := kmsg.NewPtrMetadataRequest()
			q.Version, q.Topics = 12, nil
			out := map[string]kmsg.MetadataResponseTopic{}
			for _, t := range r.roundTrip(q).(*kmsg.MetadataResponse).Topics {
				if t.IsInternal {
					out[*t.Topic] = t
				}
			}
			return out
		}
		if got := internal(); len(got) != 0 {
			t.Fatalf("before: %v", got)
		}
		for kind, name := range map[int8]string{0: offsetsTopic, 1: txnTopic} {
			for range 2 {
				q := kmsg.NewPtrFindCoordinatorRequest()
				q.Version, q.CoordinatorType, q.CoordinatorKeys = 4, kind, []string{"x"}
				r.roundTrip(q)
			}
			got, ok := internal()[name]
			if !ok || len(got.Partitions) != internalPartitions {
				t.Fatalf("%s: %+v", name, got)
			}
			p := r.roundTrip(produceOf(13, "", got.TopicID, -1, batchOf(nowMs(), "a"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			if p.ErrorCode != kerr.InvalidTopicException.Code {
				t.Errorf("produce to %s: %d", name, p.ErrorCode)
			}
			admin := kmsg.NewRequestFormatter(kmsg.FormatterClientID(adminClientID))
			q := produceOf(13, "", got.TopicID, -1, batchOf(nowMs(), "a"))
			if _, err := r.c.Write(admin.AppendRequest(nil, q, 77)); err != nil {
				t.Fatal(err)
			}
			if p := r.receive(q, 77).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != noError || p.BaseOffset != 0 {
				t.Errorf("the admin client's produce to %s: %d at %d", name, p.ErrorCode, p.BaseOffset)
			}
		}
	})
}

// An admin client may make them itself, as in Kafka, with partitions of its
// choice; a client that only asks for one gets what a coordinator would make.
func TestInternalTopicsCanBeMadeByClients(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic(offsetsTopic, 1)
		q := kmsg.NewPtrMetadataRequest()
		q.Version, q.AllowAutoTopicCreation = 12, true
		for _, name := range []string{offsetsTopic, txnTopic} {
			one := kmsg.NewMetadataRequestTopic()
			one.Topic = kmsg.StringPtr(name)
			q.Topics = append(q.Topics, one)
		}
		got := r.roundTrip(q).(*kmsg.MetadataResponse).Topics
		for i, partitions := range []int{1, internalPartitions} {
			if got[i].ErrorCode != noError || !got[i].IsInternal || len(got[i].Partitions) != partitions {
				t.Errorf("%s: code %d, %d partitions, want %d", *got[i].Topic, got[i].ErrorCode, len(got[i].Partitions), partitions)
			}
		}
		p := r.roundTrip(produceOf(13, "", got[0].TopicID, -1, batchOf(nowMs(), "a"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != kerr.InvalidTopicException.Code {
			t.Errorf("produce: %d", p.ErrorCode)
		}
	})
}
