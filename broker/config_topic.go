package broker

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"sync"
)

// topicConfigs are the topic configs of Apache Kafka 4.1, inert ones too, and
// ours. Sorted by name; made once, and read only. docs/topic-configs.md is
// generated from it.
var topicConfigs = sync.OnceValue(func() []configKey {
	return []configKey{
		{name: "cleanup.policy", kind: kList, fallback: "delete", synonym: "log.cleanup.policy", oneOf: []string{"compact", "delete"}, use: useStored,
			doc: "What becomes of old records: delete drops them by age and size, compact keeps the newest of each key. A topic with compact takes no record without a key; without delete it takes no DeleteRecords."},
		{name: "compression.gzip.level", kind: kInt, fallback: "-1", synonym: "compression.gzip.level", min: -1, max: 9, except: []int64{0},
			doc: "Effort of gzip where compression.type is gzip; -1 is gzip's own default."},
		{name: "compression.lz4.level", kind: kInt, fallback: "9", synonym: "compression.lz4.level", min: 1, max: 17,
			doc: "Effort of lz4 where compression.type is lz4. The default is the fast compressor; other levels are the thorough one, of which 9 is the most that is done here."},
		{name: "compression.type", kind: kString, fallback: "producer", synonym: "compression.type", oneOf: []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"},
			doc: "How batches are stored: producer keeps them as they came, anything else packs them anew where they came otherwise."},
		{name: "compression.zstd.level", kind: kInt, fallback: "3", synonym: "compression.zstd.level", min: -131072, max: 22,
			doc: "Effort of zstd where compression.type is zstd; mapped to the nearest of four."},
		{name: "delete.retention.ms", kind: kLong, fallback: "86400000", synonym: "log.cleaner.delete.retention.ms", max: anyLong, use: useStored,
			doc: "How long compaction leaves the mark of a deleted key for readers to see."},
		{name: "file.delete.delay.ms", kind: kLong, fallback: "60000", synonym: "log.segment.delete.delay.ms", max: anyLong, use: useInert,
			doc: "No meaning here: there are no files; objects have a grace period of their own."},
		{name: "flush.messages", kind: kLong, fallback: "9223372036854775807", synonym: "log.flush.interval.messages", min: 1, max: anyLong, use: useInert,
			doc: "No meaning here: nothing is acknowledged before it is durable."},
		{name: "flush.ms", kind: kLong, fallback: "9223372036854775807", synonym: "log.flush.interval.ms", derived: true, max: anyLong, use: useInert,
			doc: "No meaning here: nothing is acknowledged before it is durable."},
		{name: "follower.replication.throttled.replicas", kind: kList, valid: throttled, use: useInert,
			doc: "No meaning here: no replica copies from another."},
		{name: "index.interval.bytes", kind: kInt, fallback: "4096", synonym: "log.index.interval.bytes", max: anyInt, use: useInert,
			doc: "No meaning here: objects carry an index of every batch."},
		{name: "leader.replication.throttled.replicas", kind: kList, valid: throttled, use: useInert,
			doc: "No meaning here: no replica copies from another."},
		{name: "local.retention.bytes", kind: kLong, fallback: "-2", synonym: "log.local.retention.bytes", min: -2, max: anyLong, use: useInert,
			doc: "No meaning here: no record is kept on a broker."},
		{name: "local.retention.ms", kind: kLong, fallback: "-2", synonym: "log.local.retention.ms", min: -2, max: anyLong, use: useInert,
			doc: "No meaning here: no record is kept on a broker."},
		{name: "max.compaction.lag.ms", kind: kLong, fallback: "9223372036854775807", synonym: "log.cleaner.max.compaction.lag.ms", min: 1, max: anyLong, use: useStored,
			doc: "How long a record may stay uncompacted at most. Not below min.compaction.lag.ms."},
		{name: "max.message.bytes", kind: kInt, fallback: "1048588", synonym: "message.max.bytes", max: anyInt,
			doc: "The largest batch that is taken, as it was sent and, where it is packed anew, as it is stored."},
		{name: "message.timestamp.after.max.ms", kind: kLong, fallback: "3600000", synonym: "log.message.timestamp.after.max.ms", max: anyLong,
			doc: "How far ahead of the broker's clock a record's timestamp may be. With LogAppendTime it is not looked at."},
		{name: "message.timestamp.before.max.ms", kind: kLong, fallback: "9223372036854775807", synonym: "log.message.timestamp.before.max.ms", max: anyLong,
			doc: "How far behind the broker's clock a record's timestamp may be. With LogAppendTime it is not looked at."},
		{name: "message.timestamp.type", kind: kString, fallback: "CreateTime", synonym: "log.message.timestamp.type", oneOf: []string{"CreateTime", "LogAppendTime"},
			doc: "Whose time records have: the producer's, or that of the broker which took them in, by its own clock."},
		{name: "min.cleanable.dirty.ratio", kind: kDouble, fallback: "0.5", synonym: "log.cleaner.min.cleanable.ratio", max: 1, use: useStored,
			doc: "Which share of a partition must be uncompacted before it is compacted."},
		{name: "min.compaction.lag.ms", kind: kLong, fallback: "0", synonym: "log.cleaner.min.compaction.lag.ms", max: anyLong, use: useStored,
			doc: "How long a record stays uncompacted at least."},
		{name: "min.insync.replicas", kind: kInt, fallback: "1", synonym: "min.insync.replicas", min: 1, max: anyInt, use: useInert,
			doc: "No meaning here: replicas are named for tools alone; what is acknowledged is durable in any case."},
		{name: "preallocate", kind: kBool, fallback: "false", synonym: "log.preallocate", use: useInert,
			doc: "No meaning here: there are no files."},
		{name: "remote.log.copy.disable", kind: kBool, fallback: "false", use: useInert,
			doc: "No meaning here: all records are in object storage, without tiers."},
		{name: "remote.log.delete.on.disable", kind: kBool, fallback: "false", use: useInert,
			doc: "No meaning here: all records are in object storage, without tiers."},
		{name: "remote.storage.enable", kind: kBool, fallback: "false", valid: noTiers, use: useInert,
			doc: "Refused if true, as by a Kafka broker without tiered storage: all records are in object storage anyway."},
		{name: "retention.bytes", kind: kLong, fallback: "-1", synonym: "log.retention.bytes", min: math.MinInt64, max: anyLong, use: useStored,
			doc: "How large a partition may grow before its oldest records go, where cleanup.policy has delete; negative: any size."},
		{name: "retention.ms", kind: kLong, fallback: "604800000", synonym: "log.retention.ms", derived: true, min: -1, max: anyLong, use: useStored,
			doc: "How old records may grow before they go, where cleanup.policy has delete; -1: any age."},
		{name: "segment.bytes", kind: kInt, fallback: "1073741824", synonym: "log.segment.bytes", min: 1 << 20, max: anyInt,
			doc: "No batch may be larger. There are no segments: retention and compaction go by spans."},
		{name: "segment.index.bytes", kind: kInt, fallback: "10485760", synonym: "log.index.size.max.bytes", min: 4, max: anyInt, use: useInert,
			doc: "No meaning here: there are no segments."},
		{name: "segment.jitter.ms", kind: kLong, fallback: "0", synonym: "log.roll.jitter.ms", derived: true, max: anyLong, use: useInert,
			doc: "No meaning here: there are no segments."},
		{name: "segment.ms", kind: kLong, fallback: "604800000", synonym: "log.roll.ms", derived: true, min: 1, max: anyLong, use: useInert,
			doc: "No meaning here: there are no segments."},
		{name: "unclean.leader.election.enable", kind: kBool, fallback: "false", synonym: "unclean.leader.election.enable", use: useInert,
			doc: "No meaning here: no leader holds data that another lacks."},
		{name: latencyConfig, kind: kString, fallback: "standard", oneOf: []string{"standard", "low"}, quiet: true,
			doc: "Which lane a topic's records take: standard waits a little so that objects are large and cheap, low does not. Kafka has no such config."},
	}
})

// latencyConfig picks a topic's lane.
const latencyConfig = "zonewise.latency"

// throttled checks a list of partition:broker pairs, or *.
func throttled(v string) string {
	pair := regexp.MustCompile(`^[0-9]+:[0-9]+$`)
	if v == "*" {
		return ""
	}
	for _, p := range splitList(v) {
		if !pair.MatchString(p) {
			return "it must be a list of partition:broker, or *"
		}
	}
	return ""
}

// noTiers refuses what a broker without tiered storage refuses.
func noTiers(v string) string {
	if v == "true" {
		return "there is no tiered storage to enable; all records are in object storage"
	}
	return ""
}

// checkTopicConfigs returns a new topic's configs as they are kept, and says
// what is wrong with them, or "".
func checkTopicConfigs(set map[string]string) (map[string]string, string) {
	table := topicConfigs()
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names) // the same complaint every time
	out := make(map[string]string, len(set))
	for _, name := range names {
		k, ok := findConfig(table, name)
		if !ok {
			return nil, "Unknown topic config name: " + name
		}
		v, text := k.check(set[name])
		if text != "" {
			return nil, text
		}
		out[name] = v
	}
	return out, topicConflict(out)
}

// topicConflict says which configs of a topic contradict each other, or "".
func topicConflict(set map[string]string) string {
	lag := func(name string, none int64) int64 {
		if n, err := strconv.ParseInt(set[name], 10, 64); err == nil {
			return n
		}
		return none
	}
	low, high := lag("min.compaction.lag.ms", 0), lag("max.compaction.lag.ms", anyLong)
	if low > high {
		return fmt.Sprintf("min.compaction.lag.ms (%d) is greater than max.compaction.lag.ms (%d)", low, high)
	}
	return ""
}
