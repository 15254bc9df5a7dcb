package groups

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func TestSubscriptionOfEveryVersionIsRead(t *testing.T) {
	for version := range int16(4) {
		m := kmsg.NewConsumerMemberMetadata()
		m.Version, m.Topics, m.UserData = version, []string{"a", "b"}, []byte("x")
		if got, ok := parseSubscribedTopics(m.AppendTo(nil)); !ok || !slices.Equal(got, m.Topics) {
			t.Errorf("v%d: %v %v", version, got, ok)
		}
	}
	// Version 1 without owned partitions, as kafka-go writes it (row 30).
	if got, ok := parseSubscribedTopics([]byte{0, 1, 0, 0, 0, 1, 0, 1, 'a', 0, 0, 0, 0}); !ok || !slices.Equal(got, []string{"a"}) {
		t.Errorf("%v %v", got, ok)
	}
}

func TestUnreadableSubscriptionProtectsEveryTopic(t *testing.T) {
	m := newClassicGroup("g", limits{})
	m.protocolType, m.state, m.protocol = protocolTypeConsumer, stateStable, "range"
	m.members["x"] = &classicGroupMember{id: "x", protocols: []metadata.GroupProtocol{{Name: "range", Metadata: []byte{0xff}}}}
	if !m.newSubscriptionCheck()("anything") {
		t.Error("a topic may be deleted under a subscription that cannot be read")
	}
}

func FuzzSubscription(f *testing.F) {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = []string{"a", "bc"}
	f.Add(m.AppendTo(nil))
	f.Add([]byte{0, 0, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		topics, ok := parseSubscribedTopics(b)
		if !ok && topics != nil {
			t.Error("topics beside a failure")
		}
		size := 6
		for _, topic := range topics {
			size += 2 + len(topic)
		}
		if size > max(len(b), 6) {
			t.Errorf("%d bytes of topics from %d", size, len(b))
		}
		// What kmsg can read, this reads alike.
		ref := kmsg.NewConsumerMemberMetadata()
		if err := ref.ReadFrom(b); err == nil && ref.Version >= 0 && ok && !slices.Equal(ref.Topics, topics) {
			t.Errorf("%q, reference %q", topics, ref.Topics)
		}
	})
}
