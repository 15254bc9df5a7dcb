package broker

import (
	"slices"
	"strconv"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// configRules are what a topic's configs put into effect.
type configRules struct {
	batch   batchRules
	lane    metadata.Lane
	deletes bool               // cleanup.policy contains delete
	levels  [codecZstd + 1]int // of compression, by codec
}

// defaultRules are the rules of a topic for which nothing is set, by Kafka's
// defaults; made once, and read only.
var defaultRules = sync.OnceValue(func() configRules {
	rules := configRules{lane: metadata.LaneStandard}
	for _, k := range topicConfigs() {
		if k.rule != nil {
			k.rule(&rules, *k.Default)
		}
	}
	return rules
})

// readRules reads a topic's rules: its own configs first, then what is set for
// the broker, then what is set for all, then Kafka's defaults.
func readRules(b *brokerSettings, set map[string]string) configRules {
	rules := defaultRules()
	if len(set) == 0 && len(b.own) == 0 && len(b.all) == 0 {
		return rules
	}
	table := topicConfigs()
	for i := range table {
		k := &table[i]
		if k.rule == nil {
			continue
		}
		v := lookup(set, k.Name)
		if v == nil {
			v = b.set(k.synonym())
		}
		if v != nil {
			k.rule(&rules, *v)
		}
	}
	if rules.batch.codec != codecProducer {
		rules.batch.level = rules.levels[rules.batch.codec]
	}
	return rules
}

// rulesOf reads a topic's rules for batches.
func rulesOf(b *brokerSettings, set map[string]string) (batchRules, metadata.Lane) {
	rules := readRules(b, set)
	return rules.batch, rules.lane
}

// deletesRecords reports whether the topic's policy contains delete.
func deletesRecords(b *brokerSettings, set map[string]string) bool {
	return readRules(b, set).deletes
}

func policyRule(r *configRules, v string) {
	policy := splitList(v)
	r.batch.compacted, r.deletes = slices.Contains(policy, "compact"), slices.Contains(policy, "delete")
}

func levelRule(codec int) func(*configRules, string) {
	return intRule(func(r *configRules, n int64) { r.levels[codec] = int(n) })
}

// intRule is a rule of a number.
func intRule(put func(*configRules, int64)) func(*configRules, string) {
	return func(r *configRules, v string) {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			put(r, n)
		}
	}
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
