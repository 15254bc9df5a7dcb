package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// configValue is a config as it stands, and where from.
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

// useFirstSynonym makes the first synonym the config's value; without any it keeps what
// it has.
func (v *configValue) useFirstSynonym() {
	if len(v.synonyms) > 0 {
		v.value, v.source = v.synonyms[0].value, v.synonyms[0].source
	}
}

// listTopicValues reports every config of a topic with the given settings; what
// they leave open is the broker's.
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

// listBrokerValues reports the configs of a broker (id in decimal), or what is set
// for all of them (name "").
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
		if name == "" { // Kafka lists only what is set for all brokers
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
