package broker

import (
	"slices"
	"strconv"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// topicConfigRules are the effects of a topic's configs.
type topicConfigRules struct {
	batch       batchRules
	lane        metadata.Lane
	refusesTrim bool               // cleanup.policy has compact without delete
	levels      [codecZstd + 1]int // compression levels by codec
}

// defaultRules are the rules of a topic without configs, by Kafka's defaults;
// made once, and read only.
var defaultRules = sync.OnceValue(func() topicConfigRules {
	rules := topicConfigRules{lane: metadata.LaneStandard}
	for _, k := range topicConfigs() {
		if k.applyRule != nil {
			k.applyRule(&rules, *k.Default)
		}
	}
	return rules
})

// readTopicRules reads a topic's rules: its own configs first, then those of
// the broker, then those of all brokers, then Kafka's defaults.
func readTopicRules(b *brokerSettings, set map[string]string) topicConfigRules {
	rules := defaultRules()
	if len(set) == 0 && len(b.own) == 0 && len(b.all) == 0 {
		return rules
	}
	table := topicConfigs()
	for i := range table {
		k := &table[i]
		if k.applyRule == nil {
			continue
		}
		v := lookupValue(set, k.Name)
		if v == nil {
			v = b.dynamicValue(k.brokerSynonym())
		}
		if v != nil {
			k.applyRule(&rules, *v)
		}
	}
	if rules.batch.codec != codecProducer {
		rules.batch.codecLevel = rules.levels[rules.batch.codec]
	}
	return rules
}

// readBatchRules reads a topic's rules for batches.
func readBatchRules(b *brokerSettings, set map[string]string) (batchRules, metadata.Lane) {
	rules := readTopicRules(b, set)
	return rules.batch, rules.lane
}

// refusesTrim reports whether the topic refuses DeleteRecords: its policy has compact
// without delete. The empty policy (KIP-1161) does not refuse it.
func refusesTrim(b *brokerSettings, set map[string]string) bool {
	return readTopicRules(b, set).refusesTrim
}

func setCleanupPolicy(r *topicConfigRules, v string) {
	policy := splitList(v)
	r.batch.compacted = slices.Contains(policy, "compact")
	r.refusesTrim = r.batch.compacted && !slices.Contains(policy, "delete")
}

func newLevelRule(codec int) func(*topicConfigRules, string) {
	return newIntRule(func(r *topicConfigRules, n int64) { r.levels[codec] = int(n) })
}

// newIntRule makes a rule from a number.
func newIntRule(put func(*topicConfigRules, int64)) func(*topicConfigRules, string) {
	return func(r *topicConfigRules, v string) {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			put(r, n)
		}
	}
}

// parseCodec returns the codec of a compression.type.
func parseCodec(v string) int {
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
