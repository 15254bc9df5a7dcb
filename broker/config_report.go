package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// configValue is a config's current value and its source.
type configValue struct {
	key      *configKey
	value    *string
	source   kmsg.ConfigSource
	synonyms []synonymValue
}

type synonymValue struct {
	name   string
	value  *string
	source kmsg.ConfigSource
}

// useFirstSynonym sets the value to the first synonym's; without synonyms it
// does nothing.
func (v *configValue) useFirstSynonym() {
	if len(v.synonyms) > 0 {
		v.value, v.source = v.synonyms[0].value, v.synonyms[0].source
	}
}

// listTopicValues describes a topic's configs, with the broker's values for
// those that are not set.
func listTopicValues(b *brokerSettings, set map[string]string) []configValue {
	var out []configValue
	table := topicConfigs()
	for i := range table {
		k := &table[i]
		own, isSet := set[k.Name]
		if k.Internal && !isSet {
			continue
		}
		v := configValue{key: k, value: k.Default, source: kmsg.ConfigSourceDefaultConfig}
		if isSet {
			v.synonyms = append(v.synonyms, synonymValue{k.Name, &own, kmsg.ConfigSourceDynamicTopicConfig})
		}
		if name := k.brokerSynonym(); name != "" {
			names := []string{name}
			if of, ok := findConfig(b.table, name); ok {
				names = of.Synonyms
			}
			v.synonyms = append(v.synonyms, b.listSynonyms(name, names)...)
		}
		v.useFirstSynonym()
		out = append(out, v)
	}
	return out
}

// listBrokerValues describes the configs of a broker (name is its id), or those
// set for all brokers (name "").
func listBrokerValues(st *metadata.State, name string, table []configKey) []configValue {
	b := readSettings(st, name, table)
	var out []configValue
	table = slices.Concat(table, listUnknownConfigs(table, b.all, b.own))
	for i := range table {
		k := &table[i]
		names := k.Synonyms
		if names == nil {
			names = []string{k.Name}
		}
		v := configValue{key: k, value: k.currentValue(), source: kmsg.ConfigSourceDefaultConfig, synonyms: b.listSynonyms(k.Name, names)}
		if name == "" { // Kafka lists only the configs that are set for all brokers
			v.synonyms = slices.DeleteFunc(v.synonyms, func(y synonymValue) bool { return y.source != kmsg.ConfigSourceDynamicDefaultBrokerConfig })
		}
		isSet := len(v.synonyms) > 0 && v.synonyms[0].source != kmsg.ConfigSourceDefaultConfig
		if (name == "" || k.Internal) && !isSet {
			continue
		}
		v.useFirstSynonym()
		out = append(out, v)
	}
	return out
}
