package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Java's consumer asks for the topics of its assignment by id and sends an
// empty name beside each. All but the first were taken for the same topic, so
// that a member assigned several new topics at once learned of one of them.
func TestTopicsAskedForByIDAreAllAnswered(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		ids := map[[16]byte]string{}
		q := kmsg.NewPtrMetadataRequest()
		q.Version = 13
		ask := func(id [16]byte, name *string) {
			w := kmsg.NewMetadataRequestTopic()
			w.TopicID, w.Topic = id, name
			q.Topics = append(q.Topics, w)
		}
		for _, name := range []string{"a", "b", "c"} {
			id := [16]byte(r.makeTopic(name, 1))
			ids[id] = name
			ask(id, kmsg.StringPtr(""))
			ask(id, kmsg.StringPtr("")) // twice: answered once
		}
		unknown := [16]byte{15: 9}
		ask(unknown, kmsg.StringPtr(""))
		got := r.roundTrip(q).(*kmsg.MetadataResponse).Topics
		if len(got) != 4 {
			t.Fatalf("%d topics are answered, want 4: %+v", len(got), got)
		}
		for _, topic := range got {
			if topic.TopicID == unknown {
				if topic.ErrorCode != kerr.UnknownTopicID.Code || topic.Topic != nil {
					t.Errorf("an unknown id: %+v", topic)
				}
				continue
			}
			if topic.ErrorCode != noError || topic.Topic == nil || *topic.Topic != ids[topic.TopicID] || len(topic.Partitions) != 1 {
				t.Errorf("%s: %+v", ids[topic.TopicID], topic)
			}
		}
	})
}
