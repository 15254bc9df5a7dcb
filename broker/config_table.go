package broker

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// advertisedConfig is filled for the broker and the zone in question.
const advertisedConfig = "advertised.listeners"

// brokerConfigs are the broker configs that tools read: ours to begin with,
// then the synonyms of the topic configs, which can be set for all brokers.
func (s *Server) brokerConfigs() []configKey {
	str, g := strconv.Itoa, s.cfg.GroupSettings.WithDefaults()
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	out := []configKey{
		{name: advertisedConfig, kind: kString, null: true, readOnly: true,
			doc: "Where the clients of the asker's zone find the broker."},
		{name: "auto.create.topics.enable", kind: kBool, fallback: strconv.FormatBool(s.cfg.AutoCreate), readOnly: true,
			doc: "Whether a topic is made when a client asks for its metadata."},
		{name: "broker.rack", kind: kString, fallback: string(s.cfg.Zone), null: s.cfg.Zone == "", readOnly: true,
			doc: "The zone in which the broker stands."},
		{name: "connections.max.idle.ms", kind: kLong, fallback: strconv.FormatInt(s.cfg.IdleTimeout.Milliseconds(), 10), readOnly: true,
			doc: "After what silence a connection is closed."},
		{name: "default.replication.factor", kind: kInt, fallback: str(int(s.defaultReplication())), readOnly: true,
			doc: "What a topic that asks for none is said to have: the number of zones."},
		{name: "delete.topic.enable", kind: kBool, fallback: strconv.FormatBool(!s.cfg.KeepTopics), readOnly: true,
			doc: "Whether topics can be deleted."},
		{name: "fetch.max.bytes", kind: kInt, fallback: str(MaxFetchBytes), readOnly: true,
			doc: "The most that one fetch answer holds, but for a single larger batch."},
		{name: "group.consumer.assignors", kind: kList, fallback: "uniform,range", readOnly: true,
			doc: "The assignors of the consumer protocol; the first is the default."},
		{name: "group.consumer.heartbeat.interval.ms", kind: kInt, fallback: ms(g.ConsumerHeartbeatInterval), readOnly: true,
			doc: "How often members of the consumer protocol are heard from."},
		{name: "group.consumer.max.heartbeat.interval.ms", kind: kInt, fallback: ms(max(15*time.Second, g.ConsumerHeartbeatInterval)), readOnly: true,
			doc: "The longest heartbeat interval that a group's config may set."},
		{name: "group.consumer.max.session.timeout.ms", kind: kInt, fallback: ms(max(time.Minute, g.ConsumerSessionTimeout)), readOnly: true,
			doc: "The longest session timeout that a group's config may set."},
		{name: "group.consumer.max.size", kind: kInt, fallback: str(g.MaxConsumers), readOnly: true,
			doc: "How many members a group of the consumer protocol may have."},
		{name: "group.consumer.migration.policy", kind: kString, fallback: "bidirectional", readOnly: true,
			doc: "Groups change their protocol on line, both ways."},
		{name: "group.consumer.min.heartbeat.interval.ms", kind: kInt, fallback: ms(min(5*time.Second, g.ConsumerHeartbeatInterval)), readOnly: true,
			doc: "The shortest heartbeat interval that a group's config may set."},
		{name: "group.consumer.min.session.timeout.ms", kind: kInt, fallback: ms(min(45*time.Second, g.ConsumerSessionTimeout)), readOnly: true,
			doc: "The shortest session timeout that a group's config may set."},
		{name: "group.consumer.session.timeout.ms", kind: kInt, fallback: ms(g.ConsumerSessionTimeout), readOnly: true,
			doc: "After what silence a member of the consumer protocol is out."},
		{name: "group.coordinator.rebalance.protocols", kind: kList, fallback: "classic,consumer", readOnly: true,
			doc: "The group protocols that are served."},
		{name: "offsets.retention.check.interval.ms", kind: kLong, fallback: "600000", readOnly: true,
			doc: "How often a coordinator looks for positions to forget."},
		{name: "offsets.retention.minutes", kind: kInt, fallback: str(int(g.OffsetRetention / time.Minute)), readOnly: true,
			doc: "How long positions outlive a group's last member, or the last commit of a group without any."},
		{name: "group.initial.rebalance.delay.ms", kind: kInt, fallback: ms(g.InitialRebalanceDelay), readOnly: true,
			doc: "How long a new group waits for more members."},
		{name: "group.max.session.timeout.ms", kind: kInt, fallback: ms(g.MaxSessionTimeout), readOnly: true,
			doc: "The longest session timeout that a member may ask for."},
		{name: "group.min.session.timeout.ms", kind: kInt, fallback: ms(g.MinSessionTimeout), readOnly: true,
			doc: "The shortest session timeout that a member may ask for."},
		{name: "log.retention.hours", kind: kInt, fallback: "168", readOnly: true,
			doc: "How long records are kept by default; stored, not enforced yet."},
		{name: "max.incremental.fetch.session.cache.slots", kind: kInt, fallback: str(MaxFetchSessions), readOnly: true,
			doc: "How many fetch sessions a broker keeps."},
		{name: "num.partitions", kind: kInt, fallback: str(int(s.cfg.DefaultPartitions)), readOnly: true,
			doc: "How many partitions a topic gets that asks for none."},
		{name: "offset.metadata.max.bytes", kind: kInt, fallback: "4096", readOnly: true,
			doc: "The longest text that a committed offset may carry."},
		{name: metadata.ProducerExpiryConfig, kind: kInt, fallback: strconv.FormatInt(int64(metadata.ProducerExpiry), 10), min: 1, max: anyInt,
			doc: "After what silence an idempotent producer is forgotten; to be set for all brokers."},
		{name: "socket.request.max.bytes", kind: kInt, fallback: str(MaxFrameBytes), readOnly: true,
			doc: "The largest request; other than Produce, requests have a lower limit."},
		{name: metadata.TxnExpiryConfig, kind: kInt, fallback: strconv.FormatInt(int64(metadata.TxnExpiry), 10), min: 1, max: anyInt,
			doc: "After what silence a transactional id is forgotten; to be set for all brokers, also at run time."},
	}
	out = append(out, inertBrokerConfigs()...)
	for _, k := range topicConfigs() {
		if k.synonym != "" {
			k.name, k.synonym, k.derived = k.synonym, "", false
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b configKey) int { return strings.Compare(a.name, b.name) })
	return out
}
