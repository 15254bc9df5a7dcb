package broker

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// configValue is a config as it stands, and where from: the first of its
// synonyms that is set.
type configValue struct {
	key      configKey
	value    *string
	source   kmsg.ConfigSource
	synonyms []synonymValue
}

type synonymValue struct {
	name   string
	value  *string
	source kmsg.ConfigSource
}

func (v *configValue) offer(name, value string, source kmsg.ConfigSource) {
	if v.value == nil {
		v.value, v.source = &value, source
	}
	if name != "" {
		v.synonyms = append(v.synonyms, synonymValue{name, &value, source})
	}
}

// orDefault ends the list with Kafka's own default, under the name of the
// config that has it; "" where none has.
func (v *configValue) orDefault(name string) {
	if !v.key.null {
		v.offer(name, v.key.fallback, kmsg.ConfigSourceDefaultConfig)
	} else if v.value == nil {
		v.source = kmsg.ConfigSourceDefaultConfig
	}
}

// topicValues reports every config of a topic with the given settings.
func topicValues(st *metadata.State, set map[string]string) []configValue {
	all := st.Configs(metadata.ResourceBroker, "")
	var out []configValue
	for _, k := range topicConfigs() {
		v := configValue{key: k}
		own, isSet := set[k.name]
		if k.quiet && !isSet {
			continue
		}
		if isSet {
			v.offer(k.name, own, kmsg.ConfigSourceDynamicTopicConfig)
		}
		name := k.name
		if k.synonym != "" {
			name = k.synonym
			if b, ok := all[k.synonym]; ok {
				v.offer(name, b, kmsg.ConfigSourceDynamicDefaultBrokerConfig)
			}
		}
		if k.derived || k.synonym == "" {
			name = ""
		}
		v.orDefault(name)
		out = append(out, v)
	}
	return out
}

// brokerValues reports the configs of a broker (id in decimal), or what is set
// for all of them (name "").
func (s *Server) brokerValues(st *metadata.State, name string, table []configKey) []configValue {
	all := st.Configs(metadata.ResourceBroker, "")
	own := st.Configs(metadata.ResourceBroker, name)
	var out []configValue
	for _, k := range slices.Concat(table, kept(table, all, own)) {
		v := configValue{key: k}
		if name != "" {
			if b, ok := own[k.name]; ok {
				v.offer(k.name, b, kmsg.ConfigSourceDynamicBrokerConfig)
			}
		}
		if b, ok := all[k.name]; ok {
			v.offer(k.name, b, kmsg.ConfigSourceDynamicDefaultBrokerConfig)
		}
		switch {
		case v.value == nil && (name == "" || k.quiet):
			continue // Kafka lists only what is set for all brokers
		case name == "":
		case !k.readOnly:
			v.orDefault(k.name)
		case !k.null:
			v.offer(k.name, k.fallback, kmsg.ConfigSourceStaticBrokerConfig)
		}
		out = append(out, v)
	}
	return out
}

// isBroker reports whether a resource name is a broker in the placement.
func (s *Server) isBroker(name string) bool {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return false
	}
	if metadata.BrokerID(id) == s.cfg.Self() {
		return true
	}
	return s.view().knows(metadata.BrokerID(id))
}
