package broker

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// configKey is one config as DescribeConfigs reports it and alterations check
// it: name, type, Kafka's default value, and who else sets it.
type configKey struct {
	name     string
	kind     kmsg.ConfigType
	fallback string   // Kafka's default; "" with null set: null
	null     bool     // the default is null
	synonym  string   // broker config of the same meaning, or ""
	min, max int64    // of numbers
	oneOf    []string // of strings and lists; nil: anything
	readOnly bool     // of broker configs
	quiet    bool     // reported only when set (zonewise.*)
}

const (
	kBool   = kmsg.ConfigTypeBoolean
	kString = kmsg.ConfigTypeString
	kInt    = kmsg.ConfigTypeInt
	kLong   = kmsg.ConfigTypeLong
	kDouble = kmsg.ConfigTypeDouble
	kList   = kmsg.ConfigTypeList
)

// topicConfigs are the topic configs of Apache Kafka 4.1, inert ones too, and
// ours. Sorted by name.
func topicConfigs() []configKey {
	const none = math.MaxInt64
	return []configKey{
		{name: "cleanup.policy", kind: kList, fallback: "delete", synonym: "log.cleanup.policy", oneOf: []string{"compact", "delete"}},
		{name: "compression.gzip.level", kind: kInt, fallback: "-1", synonym: "compression.gzip.level", min: -1, max: 9},
		{name: "compression.lz4.level", kind: kInt, fallback: "9", synonym: "compression.lz4.level", min: 1, max: 17},
		{name: "compression.type", kind: kString, fallback: "producer", synonym: "compression.type", oneOf: []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}},
		{name: "compression.zstd.level", kind: kInt, fallback: "3", synonym: "compression.zstd.level", min: -131072, max: 22},
		{name: "delete.retention.ms", kind: kLong, fallback: "86400000", synonym: "log.cleaner.delete.retention.ms", max: none},
		{name: "file.delete.delay.ms", kind: kLong, fallback: "60000", synonym: "log.segment.delete.delay.ms", max: none},
		{name: "flush.messages", kind: kLong, fallback: "9223372036854775807", synonym: "log.flush.interval.messages", min: 1, max: none},
		{name: "flush.ms", kind: kLong, fallback: "9223372036854775807", synonym: "log.flush.interval.ms", max: none},
		{name: "follower.replication.throttled.replicas", kind: kList},
		{name: "index.interval.bytes", kind: kInt, fallback: "4096", synonym: "log.index.interval.bytes", max: math.MaxInt32},
		{name: "leader.replication.throttled.replicas", kind: kList},
		{name: "local.retention.bytes", kind: kLong, fallback: "-2", synonym: "log.local.retention.bytes", min: -2, max: none},
		{name: "local.retention.ms", kind: kLong, fallback: "-2", synonym: "log.local.retention.ms", min: -2, max: none},
		{name: "max.compaction.lag.ms", kind: kLong, fallback: "9223372036854775807", synonym: "log.cleaner.max.compaction.lag.ms", min: 1, max: none},
		{name: "max.message.bytes", kind: kInt, fallback: "1048588", synonym: "message.max.bytes", max: math.MaxInt32},
		{name: "message.timestamp.after.max.ms", kind: kLong, fallback: "3600000", synonym: "log.message.timestamp.after.max.ms", max: none},
		{name: "message.timestamp.before.max.ms", kind: kLong, fallback: "9223372036854775807", synonym: "log.message.timestamp.before.max.ms", max: none},
		{name: "message.timestamp.type", kind: kString, fallback: "CreateTime", synonym: "log.message.timestamp.type", oneOf: []string{"CreateTime", "LogAppendTime"}},
		{name: "min.cleanable.dirty.ratio", kind: kDouble, fallback: "0.5", synonym: "log.cleaner.min.cleanable.ratio", max: 1},
		{name: "min.compaction.lag.ms", kind: kLong, fallback: "0", synonym: "log.cleaner.min.compaction.lag.ms", max: none},
		{name: "min.insync.replicas", kind: kInt, fallback: "1", synonym: "min.insync.replicas", min: 1, max: math.MaxInt32},
		{name: "preallocate", kind: kBool, fallback: "false", synonym: "log.preallocate"},
		{name: "remote.log.copy.disable", kind: kBool, fallback: "false"},
		{name: "remote.log.delete.on.disable", kind: kBool, fallback: "false"},
		{name: "remote.storage.enable", kind: kBool, fallback: "false"},
		{name: "retention.bytes", kind: kLong, fallback: "-1", synonym: "log.retention.bytes", min: -1, max: none},
		{name: "retention.ms", kind: kLong, fallback: "604800000", synonym: "log.retention.ms", min: -1, max: none},
		{name: "segment.bytes", kind: kInt, fallback: "1073741824", synonym: "log.segment.bytes", min: 1 << 20, max: math.MaxInt32},
		{name: "segment.index.bytes", kind: kInt, fallback: "10485760", synonym: "log.index.size.max.bytes", min: 4, max: math.MaxInt32},
		{name: "segment.jitter.ms", kind: kLong, fallback: "0", synonym: "log.roll.jitter.ms", max: none},
		{name: "segment.ms", kind: kLong, fallback: "604800000", synonym: "log.roll.ms", min: 1, max: none},
		{name: "unclean.leader.election.enable", kind: kBool, fallback: "false", synonym: "unclean.leader.election.enable"},
		{name: latencyConfig, kind: kString, fallback: "standard", oneOf: []string{"standard", "low"}, quiet: true},
	}
}

// latencyConfig picks a topic's lane.
const latencyConfig = "zonewise.latency"

// brokerConfigs are the broker configs that tools read: ours to begin with,
// then the synonyms of the topic configs, which can be set for all brokers.
func (s *Server) brokerConfigs() []configKey {
	str := strconv.Itoa
	out := []configKey{
		{name: "auto.create.topics.enable", kind: kBool, fallback: strconv.FormatBool(s.cfg.AutoCreate), readOnly: true},
		{name: "broker.rack", kind: kString, fallback: string(s.cfg.Zone), null: s.cfg.Zone == "", readOnly: true},
		{name: "connections.max.idle.ms", kind: kLong, fallback: strconv.FormatInt(s.cfg.IdleTimeout.Milliseconds(), 10), readOnly: true},
		{name: "default.replication.factor", kind: kInt, fallback: str(int(s.defaultReplication())), readOnly: true},
		{name: "delete.topic.enable", kind: kBool, fallback: "true", readOnly: true},
		{name: "fetch.max.bytes", kind: kInt, fallback: str(MaxFetchBytes), readOnly: true},
		{name: "group.initial.rebalance.delay.ms", kind: kInt, fallback: "3000", readOnly: true},
		{name: "group.max.session.timeout.ms", kind: kInt, fallback: "1800000", readOnly: true},
		{name: "group.min.session.timeout.ms", kind: kInt, fallback: "6000", readOnly: true},
		{name: "log.retention.hours", kind: kInt, fallback: "168", readOnly: true},
		{name: "max.incremental.fetch.session.cache.slots", kind: kInt, fallback: str(MaxFetchSessions), readOnly: true},
		{name: "num.partitions", kind: kInt, fallback: str(int(s.cfg.DefaultPartitions)), readOnly: true},
		{name: "offset.metadata.max.bytes", kind: kInt, fallback: "4096", readOnly: true},
		{name: "producer.id.expiration.ms", kind: kInt, fallback: strconv.FormatInt(int64(metadata.ProducerExpiry), 10), readOnly: true},
		{name: "socket.request.max.bytes", kind: kInt, fallback: str(MaxFrameBytes), readOnly: true},
	}
	for _, k := range topicConfigs() {
		if k.synonym != "" {
			k.name, k.synonym = k.synonym, ""
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b configKey) int { return strings.Compare(a.name, b.name) })
	return out
}

func findConfig(table []configKey, name string) (configKey, bool) {
	for _, k := range table {
		if k.name == name {
			return k, true
		}
	}
	return configKey{}, false
}

// check says what is wrong with a value, or "".
func (k *configKey) check(v string) string {
	bad := func() string { return fmt.Sprintf("Invalid value %s for configuration %s", v, k.name) }
	switch k.kind {
	case kBool:
		if v != "true" && v != "false" {
			return bad()
		}
	case kInt, kLong:
		if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < k.min || n > k.max {
			return bad()
		}
	case kDouble:
		if f, err := strconv.ParseFloat(v, 64); err != nil || !(f >= float64(k.min) && f <= float64(k.max)) {
			return bad()
		}
	case kList:
		for _, part := range splitList(v) {
			if k.oneOf != nil && !slices.Contains(k.oneOf, part) {
				return bad()
			}
		}
		if k.oneOf != nil && len(splitList(v)) == 0 {
			return bad()
		}
	case kString:
		if k.oneOf != nil && !slices.Contains(k.oneOf, v) {
			return bad()
		}
	}
	return ""
}

// splitList reads a config of type list.
func splitList(v string) []string {
	var out []string
	for _, p := range strings.Split(v, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// checkTopicConfigs says what is wrong with a topic's configs, or "".
func checkTopicConfigs(set map[string]string) string {
	table := topicConfigs()
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names) // the same complaint every time
	for _, name := range names {
		k, ok := findConfig(table, name)
		if !ok {
			return "Unknown topic config name: " + name
		}
		if text := k.check(set[name]); text != "" {
			return text
		}
	}
	return ""
}
