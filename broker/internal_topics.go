package broker

import (
	"context"
	"strconv"

	"github.com/zonewise/zonewise/metadata"
)

// Kafka makes its internal topics when the first coordinator is asked for, and
// clients and tools look for them: they leave internal topics out of patterns,
// and show them as such. Here they are names without records; what Kafka keeps
// in them is in the log. Nobody can produce to them. An admin client may make
// one with a number of partitions of its choice, as in Kafka, before the first
// coordinator is asked for.
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

// adminClientID is the client id that Kafka lets write to internal topics
// (AdminUtils.ADMIN_CLIENT_ID, Kafka 4.1).
const adminClientID = "__admin_client"

// InternalTopic reports Kafka's own topics.
func InternalTopic(name string) bool {
	return name == offsetsTopic || name == txnTopic || name == shareTopic
}

// ensureInternalTopic makes an internal topic that is not there yet. A failure is
// nobody's: the next request tries again.
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

// newTopic is a topic that nobody described: the broker's defaults, or what
// Kafka's own topics have.
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
