package broker

import (
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupTable is the table of group configs; made once, and read only. Their
// defaults and ranges are the broker's.
var groupTable = sync.OnceValue(func() []configKey { return joinConfigRows(kafkaConfigs().Group, groupRows()) })

func groupRows() []configRow {
	const share, streams = "No meaning here: share groups are not served.", "No meaning here: streams groups are not served."
	return []configRow{
		{names: "consumer.heartbeat.interval.ms", enforcedBy: "groups.Coordinator", meaning: "Heartbeat interval of members of a group of the consumer protocol."},
		{names: "consumer.session.timeout.ms", enforcedBy: "groups.Coordinator", meaning: "Session timeout of members of a group of the consumer protocol."},
		{names: "consumer.assignment.interval.ms consumer.assignor.offload.enable", use: useInert, meaning: "No meaning here: an assignment is computed as soon as it is needed."},
		{names: "errors.deadletterqueue.copy.record.enable errors.deadletterqueue.topic.name share.assignment.interval.ms share.assignor.offload.enable share.auto.offset.reset " +
			"share.delivery.count.limit share.heartbeat.interval.ms share.isolation.level share.partition.max.record.locks share.record.lock.duration.ms " +
			"share.renew.acknowledge.enable share.session.timeout.ms", use: useInert, meaning: share},
		{names: "streams.acceptable.recovery.lag streams.assignment.interval.ms streams.assignor.offload.enable streams.heartbeat.interval.ms streams.initial.rebalance.delay.ms " +
			"streams.num.standby.replicas streams.num.warmup.replicas streams.rack.aware.assignment.tags streams.session.timeout.ms streams.task.offset.interval.ms", use: useInert, meaning: streams},
		{names: "streams.assignor.name", use: useInert, meaning: streams, validate: func(v string) string {
			if v != "sticky" {
				return "streams.assignor.name '" + v + "' is not a registered task assignor. Registered assignors are: [sticky]."
			}
			return ""
		}},
	}
}

// groupConfigs are the configs of groups, with the broker's values as defaults.
func groupConfigs(b *brokerSettings) []configKey {
	table := slices.Clone(groupTable())
	for i := range table {
		k := &table[i]
		if name := k.brokerSynonym(); name != "" {
			first, _, _ := strings.Cut(b.effectiveValue(name), ",") // the first assignor is the default
			if k.Type == kmsg.ConfigTypeList {
				first = b.effectiveValue(name)
			}
			k.setOwnValue(first)
		}
		own := k.validate
		k.validate = func(v string) string {
			if own != nil {
				return own(v)
			}
			return checkGroupBounds(k, v, b)
		}
	}
	return table
}

// listGroupValues describes a group's configs; table is the result of
// groupConfigs.
func listGroupValues(table []configKey, b *brokerSettings, set map[string]string) []configValue {
	var out []configValue
	for i := range table {
		k := &table[i]
		own, isSet := set[k.Name]
		if k.Internal && !isSet {
			continue
		}
		v := configValue{key: k, value: k.currentValue(), source: kmsg.ConfigSourceDefaultConfig}
		if isSet {
			v.value = &own
			v.synonyms = append(v.synonyms, synonymValue{k.Name, &own, kmsg.ConfigSourceGroupConfig})
		}
		if name := k.brokerSynonym(); name != "" {
			v.synonyms = append(v.synonyms, b.listSynonyms(name, []string{name})...)
		} else if k.Default != nil {
			v.synonyms = append(v.synonyms, synonymValue{k.Name, k.Default, kmsg.ConfigSourceDefaultConfig})
		}
		if len(v.synonyms) > 0 {
			v.source = v.synonyms[0].source
		}
		out = append(out, v)
	}
	return out
}
