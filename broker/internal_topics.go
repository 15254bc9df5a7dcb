package broker

import (
	"context"
	"strconv"

	"github.com/zonewise/zonewise/metadata"
)

// Kafka creates its internal topics at the first FindCoordinator. Clients and tools
// expect them: they exclude internal topics from patterns, and mark them. Here they
// are topics without records: their content is in the log. Only the admin client
// can produce to them. An admin client may create one with its own number of
// partitions before the first FindCoordinator, as in Kafka.
const (
	offsetsTopic = "__consumer_offsets"
	txnTopic     = "__transaction_state"
	shareTopic   = "__share_group_state"
	// internalPartitions is Kafka's offsets.topic.num.partitions and
	// transaction.state.log.num.partitions.
	internalPartitions = 50
	// internalSegmentBytes is Kafka's default for both.
	internalSegmentBytes = 100 << 20
)

// adminClientID is the client id that Kafka allows to write to internal topics
// (AdminUtils.ADMIN_CLIENT_ID, Kafka 4.1).
const adminClientID = "__admin_client"

// InternalTopic reports whether a topic is one of Kafka's internal topics.
func InternalTopic(name string) bool {
	return name == offsetsTopic || name == txnTopic || name == shareTopic
}

// ensureInternalTopic creates an internal topic if it is missing. A failure is
// only logged: the next request tries again.
func (s *Server) ensureInternalTopic(ctx context.Context, name string) {
	known := false
	s.cfg.Replica.View(func(st *metadata.State) { _, known = st.TopicNamed(name) })
	if known || s.notServing() {
		return
	}
	if _, err := s.submit(ctx, []metadata.Command{s.newTopic(name)}); err != nil {
		s.cfg.Log.Warn("create internal topic failed", "topic", name, "err", err)
	}
}

// newTopic returns the command that creates a topic with the broker's defaults,
// or with Kafka's configs for an internal topic.
func (s *Server) newTopic(name string) metadata.CreateTopic {
	t := metadata.CreateTopic{ID: s.ids.newTopicID(), Name: name, Partitions: s.cfg.DefaultPartitions, ReplicationFactor: s.defaultReplication()}
	if InternalTopic(name) {
		t.Partitions = internalPartitions
		if name == offsetsTopic {
			t.Partitions = s.cfg.OffsetsPartitions
		}
		t.Configs = map[string]string{
			"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": strconv.Itoa(internalSegmentBytes)}
	}
	return t
}
