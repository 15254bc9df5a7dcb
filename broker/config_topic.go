package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/configs"
	"github.com/zonewise/zonewise/metadata"
)

// latencyConfig selects a topic's lane. Kafka has no such config.
const latencyConfig = "zonewise.latency"

// topicConfigs are Kafka's topic configs and ours, sorted by name; made once,
// and read only. docs/topic-configs.md is generated from it.
var topicConfigs = sync.OnceValue(func() []configKey {
	standard := "standard"
	latency := configs.Key{Name: latencyConfig, Type: kmsg.ConfigTypeString, Default: &standard, Valid: configs.Rule{OneOf: []string{"standard", "low"}}, Internal: true}
	return joinConfigRows(append(slices.Clone(kafkaConfigs().Topic), latency), topicRows())
})

// brokerSynonym is the broker config that is the default of a topic's, or "".
func (k *configKey) brokerSynonym() string {
	if len(k.Synonyms) == 0 {
		return ""
	}
	return k.Synonyms[0]
}

// topicRows are the rows of topic configs, and of the broker configs that are
// their defaults.
func topicRows() []configRow {
	const (
		files    = "No meaning here: there are no files."
		segments = "No meaning here: there are no segments."
		durable  = "No meaning here: nothing is acknowledged before it is durable."
		replicas = "No meaning here: no replica copies from another."
		local    = "No meaning here: no record is kept on a broker."
		tiers    = "No meaning here: all records are in object storage, without tiers."
	)
	return []configRow{
		{names: "cleanup.policy", use: useStored, applyRule: setCleanupPolicy,
			meaning: "What happens to old records: delete removes them by age and size, compact keeps the newest of each key. compact is stored and not enforced yet: such a topic keeps everything. It refuses records without a key; without delete it refuses DeleteRecords. Empty: nothing is deleted (KIP-1161)."},
		{names: "compression.gzip.level", enforcedBy: "codecs.repack", applyRule: newLevelRule(codecGzip),
			meaning: "Compression level of gzip if compression.type is gzip; -1 is gzip's own default."},
		{names: "compression.lz4.level", enforcedBy: "codecs.repack", applyRule: newLevelRule(codecLZ4),
			meaning: "Compression level of lz4 if compression.type is lz4. The default is the fast compressor; other levels are the high compression one, with at most level 9 here."},
		{names: "compression.type", enforcedBy: "codecs.repack", applyRule: func(r *topicConfigRules, v string) { r.batch.codec = parseCodec(v) },
			meaning: "How batches are stored: producer keeps their compression, any other value recompresses batches of another compression."},
		{names: "compression.zstd.level", enforcedBy: "codecs.repack", applyRule: newLevelRule(codecZstd),
			meaning: "Compression level of zstd if compression.type is zstd; mapped to the nearest of four."},
		{names: "delete.retention.ms", use: useStored, meaning: "How long compaction keeps the tombstone of a deleted key for readers."},
		{names: "errors.deadletterqueue.group.enable", use: useInert, meaning: "No meaning here: share groups are not served."},
		{names: "file.delete.delay.ms", use: useInert, meaning: "No meaning here: there are no files; objects have a grace period of their own."},
		{names: "flush.messages flush.ms", use: useInert, meaning: durable},
		{names: "follower.replication.throttled.replicas leader.replication.throttled.replicas", use: useInert, meaning: replicas},
		{names: "index.interval.bytes", use: useInert, meaning: "No meaning here: objects carry an index of every batch."},
		{names: "internal.segment.bytes", use: useInert, meaning: segments},
		{names: "local.retention.bytes local.retention.ms", use: useInert, meaning: local},
		{names: "max.compaction.lag.ms", use: useStored, meaning: "Maximum time for which a record may stay uncompacted. Not below min.compaction.lag.ms."},
		{names: "max.decompressed.message.bytes", use: useStored, meaning: "No batch may decompress to more than 128 MiB, whatever is set."},
		{names: "max.message.bytes", enforcedBy: "checkBatch", applyRule: newIntRule(func(r *topicConfigRules, n int64) { r.batch.maxBytes = int(n) }),
			meaning: "The largest batch that is accepted, as it was sent and, if it is recompressed, as it is stored."},
		{names: "message.timestamp.after.max.ms", enforcedBy: "checkBatch", applyRule: newIntRule(func(r *topicConfigRules, n int64) { r.batch.maxAfterMs = n }),
			meaning: "How far ahead of the broker's clock a record's timestamp may be. Not checked with LogAppendTime."},
		{names: "message.timestamp.before.max.ms", enforcedBy: "checkBatch", applyRule: newIntRule(func(r *topicConfigRules, n int64) { r.batch.maxBeforeMs = n }),
			meaning: "How far behind the broker's clock a record's timestamp may be. Not checked with LogAppendTime."},
		{names: "message.timestamp.type", enforcedBy: "checkBatch", applyRule: func(r *topicConfigRules, v string) { r.batch.logAppendTime = v == "LogAppendTime" },
			meaning: "The time of records: the producer's, or that of the broker that appended them, by its clock."},
		{names: "min.cleanable.dirty.ratio", use: useStored, meaning: "The share of a partition that must be uncompacted before it is compacted."},
		{names: "min.compaction.lag.ms", use: useStored, meaning: "Minimum time for which a record stays uncompacted."},
		{names: "min.insync.replicas", use: useInert, meaning: "No meaning here: replicas exist for tools only; acknowledged records are durable in any case."},
		{names: "preallocate", use: useInert, meaning: files},
		{names: "remote.copy.lag.bytes remote.copy.lag.ms remote.log.copy.disable remote.log.delete.on.disable", use: useInert, meaning: tiers},
		{names: "remote.storage.enable", use: useInert, validate: refuseTieredStorage,
			meaning: "Refused if true, as by a Kafka broker without tiered storage: all records are in object storage anyway."},
		{names: "retention.bytes", enforcedBy: "metadata.State.Retention", meaning: "How large a partition may grow before its oldest records are deleted, if cleanup.policy has delete; negative: any size."},
		{names: "retention.ms", enforcedBy: "metadata.State.Retention", meaning: "How old records may become before they are deleted, if cleanup.policy has delete; -1: any age. Ages are checked from log.retention.check.interval.ms after the commit on."},
		{names: "segment.bytes", enforcedBy: "checkBatch", applyRule: newIntRule(func(r *topicConfigRules, n int64) { r.batch.segmentBytes = int(n) }),
			meaning: "No batch may be larger. There are no segments: retention and compaction work on spans."},
		{names: "segment.index.bytes segment.jitter.ms segment.ms", use: useInert, meaning: segments},
		{names: "unclean.leader.election.enable", use: useInert, meaning: "No meaning here: no leader has data that another one lacks."},
		{names: latencyConfig, enforcedBy: "wal.Config", applyRule: func(r *topicConfigRules, v string) {
			if v == "low" {
				r.lane = metadata.LaneLow
			}
		}, meaning: "The lane of a topic's records: standard waits a little, so that objects are large and cheap; low does not. Kafka has no such config."},
	}
}

// refuseTieredStorage refuses what a Kafka broker without tiered storage
// refuses.
func refuseTieredStorage(v string) string {
	if v == "true" {
		return "Tiered Storage functionality is disabled in the broker: all records are in object storage anyway."
	}
	return ""
}

// checkTopicConfigs returns a new topic's configs in their stored form, and
// their error, or "".
func checkTopicConfigs(set map[string]string) (map[string]string, string) {
	table := topicConfigs()
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names) // the same error every time
	out := make(map[string]string, len(set))
	for _, name := range names {
		k, ok := findConfig(table, name)
		if !ok {
			return nil, "Unknown topic config name: " + name
		}
		v, text := k.checkValue(set[name])
		if text != "" {
			return nil, text
		}
		out[name] = v
	}
	return out, checkTopicConflict(out)
}

// checkTopicConflict returns which configs of a topic contradict each other, or
// "".
func checkTopicConflict(set map[string]string) string {
	lag := func(name string) int64 {
		v, ok := set[name]
		if k, known := findConfig(topicConfigs(), name); !ok && known {
			v = *k.Default
		}
		n, _ := strconv.ParseInt(v, 10, 64) // checked before
		return n
	}
	low, high := lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms")
	if low > high {
		return fmt.Sprintf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", low, high)
	}
	return ""
}

// splitList splits a config of type list, without empty elements.
func splitList(v string) []string {
	return slices.DeleteFunc(configs.SplitList(v), func(item string) bool { return strings.TrimSpace(item) == "" })
}
