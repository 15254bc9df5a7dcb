package broker

import (
	"math"
	"slices"
	"strconv"

	"github.com/zonewise/zonewise/metadata"
)

// rulesOf reads a topic's rules for batches: its own configs first, then what
// is set for all brokers, then Kafka's defaults.
func rulesOf(st *metadata.State, set map[string]string) (batchRules, metadata.Lane) {
	all := st.Configs(metadata.ResourceBroker, "")
	rules := batchRules{maxBytes: 1048588, segmentBytes: 1 << 30, beforeMs: math.MaxInt64, afterMs: 3_600_000, codec: codecProducer}
	lane := metadata.LaneStandard
	if len(set) == 0 && len(all) == 0 {
		return rules, lane
	}
	get := func(name, synonym string) (string, bool) {
		if v, ok := set[name]; ok {
			return v, true
		}
		v, ok := all[synonym]
		return v, ok
	}
	number := func(name, synonym string, n *int64) {
		if v, ok := get(name, synonym); ok {
			if i, err := strconv.ParseInt(v, 10, 64); err == nil {
				*n = i
			}
		}
	}
	maxBytes, segment := int64(rules.maxBytes), int64(rules.segmentBytes)
	number("max.message.bytes", "message.max.bytes", &maxBytes)
	number("segment.bytes", "log.segment.bytes", &segment)
	rules.maxBytes, rules.segmentBytes = int(maxBytes), int(segment)
	number("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", &rules.beforeMs)
	number("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", &rules.afterMs)
	if v, _ := get("message.timestamp.type", "log.message.timestamp.type"); v == "LogAppendTime" {
		rules.appendTime = true
	}
	if v, ok := get("cleanup.policy", "log.cleanup.policy"); ok {
		rules.compacted = slices.Contains(splitList(v), "compact")
	}
	if v, _ := get("compression.type", "compression.type"); v != "" {
		rules.codec = codecNamed(v)
		var level int64
		number("compression."+v+".level", "compression."+v+".level", &level)
		rules.level = int(level)
	}
	if set[latencyConfig] == "low" {
		lane = metadata.LaneLow
	}
	return rules, lane
}

// codecNamed returns the codec of a compression.type.
func codecNamed(v string) int {
	switch v {
	case "uncompressed":
		return codecNone
	case "gzip":
		return codecGzip
	case "snappy":
		return codecSnappy
	case "lz4":
		return codecLZ4
	case "zstd":
		return codecZstd
	}
	return codecProducer
}

// deletesRecords reports whether the topic's policy contains delete.
func deletesRecords(st *metadata.State, set map[string]string) bool {
	v, ok := set["cleanup.policy"]
	if !ok {
		v, ok = st.Configs(metadata.ResourceBroker, "")["log.cleanup.policy"]
	}
	return !ok || slices.Contains(splitList(v), "delete")
}
