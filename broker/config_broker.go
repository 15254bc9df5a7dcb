package broker

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/configs"
	"github.com/zonewise/zonewise/metadata"
)

// Limits of configs that no broker knows.
const (
	maxConfigName  = 249
	maxConfigValue = 4096
)

// brokerTable is what becomes of brokers' configs at any broker, sorted by
// name; made once, and read only.
var brokerTable = sync.OnceValue(func() []configKey {
	rows := brokerRows()
	for _, topic := range topicConfigs() {
		if name := topic.brokerSynonym(); name != "" {
			row := topic.configRow
			row.names, row.applyRule = name, nil
			row.validate = brokerValueCheck(name)
			rows = append(rows, row)
		}
	}
	return joinConfigRows(kafkaConfigs().Broker, rows)
})

// brokerConfigs are the configs of this broker, with its own values.
func (s *Server) brokerConfigs() []configKey {
	table := slices.Clone(brokerTable())
	for i := range table {
		if k := &table[i]; k.value != nil {
			k.setOwnValue(k.value(s))
		}
	}
	return table
}

// setOwnValue notes a broker's own value. Kafka's default needs no note.
func (k *configKey) setOwnValue(v string) {
	if k.Default == nil || *k.Default != v {
		k.ownValue = &v
	}
}

// addBrokerAddress tells of one broker what differs between brokers, as Metadata tells
// it to clients of the asker's zone.
func (s *Server) addBrokerAddress(table []configKey, broker string, zone metadata.ZoneID) []configKey {
	id, err := strconv.ParseInt(broker, 10, 32)
	if err != nil {
		return table
	}
	table = slices.Clone(table)
	set := func(value string, names ...string) {
		for _, name := range names {
			if k, ok := findConfig(table, name); ok && value != "" {
				k.setOwnValue(value)
			}
		}
	}
	set(broker, "broker.id", "node.id")
	v := s.currentView().router
	if rack, ok := v.ZoneOf(metadata.BrokerID(id)); ok {
		set(string(rack), "broker.rack")
	} else {
		set(string(s.cfg.Zone), "broker.rack")
	}
	if host, port := v.Endpoint(metadata.BrokerID(id), zone); host != "" {
		set("PLAINTEXT://"+net.JoinHostPort(host, strconv.Itoa(int(port))), "advertised.listeners", "listeners")
	}
	return table
}

// readOwnSettings are what clients have set for this broker and for all.
func (s *Server) readOwnSettings(st *metadata.State) brokerSettings {
	return readSettings(st, s.brokerResourceName(), brokerTable())
}

// brokerResourceName is this broker as the name of a resource.
func (s *Server) brokerResourceName() string { return strconv.Itoa(int(s.cfg.Self())) }

// connectionLimit is how many connections this broker takes: what clients have
// set as max.connections, at most MaxConnections.
func (s *Server) connectionLimit() int {
	most := int64(MaxConnections)
	s.cfg.Replica.View(func(st *metadata.State) {
		b := s.readOwnSettings(st)
		most = min(most, parseChecked(b.effectiveValue("max.connections")))
	})
	return int(most)
}

// isBroker reports whether a resource name is a broker in the placement.
func (s *Server) isBroker(name string) bool {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return false
	}
	return metadata.BrokerID(id) == s.cfg.Self() || s.currentView().hasBroker(metadata.BrokerID(id))
}

// unknownBrokerMessage is why a resource is no broker, as Kafka says it.
func (s *Server) unknownBrokerMessage(name string) string {
	if _, err := strconv.ParseInt(name, 10, 32); err != nil {
		return "Node id must be an integer, but it is: " + name
	}
	return "Unexpected broker id, expected " + strconv.Itoa(int(s.cfg.Self())) + ", but received " + name + ", which is no broker of this cluster"
}

// newUnknownConfig is a broker's config that Kafka does not know either, where it
// may be a plug-in's: it is kept, and told without its value, which may be a
// secret. Configs of one listener would promise what is not kept.
func newUnknownConfig(name string) (k *configKey, problem string) {
	switch {
	case strings.HasPrefix(name, "listener.name."):
		return nil, "config " + name + " is not served: listeners have neither TLS nor SASL yet"
	case name == "" || len(name) > maxConfigName:
		return nil, "a config name must have 1 to 249 bytes"
	}
	return &configKey{Key: configs.Key{Name: name, Type: configTypeUnknown, Mode: configs.ReadOnly}, configRow: configRow{use: useFixed, meaning: "Unknown here; kept.", validate: func(v string) string {
		if len(v) > maxConfigValue {
			return "the value of an unknown config may have at most 4096 bytes"
		}
		return ""
	}}}, ""
}

// listUnknownConfigs are the configs that are set and that the table does not know,
// sorted.
func listUnknownConfigs(table []configKey, set ...map[string]string) (out []configKey) {
	seen := map[string]bool{}
	for _, m := range set {
		for name := range m {
			if _, known := findConfig(table, name); known || seen[name] {
				continue
			}
			seen[name] = true
			if k, problem := newUnknownConfig(name); problem == "" {
				out = append(out, *k)
			}
		}
	}
	slices.SortFunc(out, func(a, b configKey) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// brokerSettings is where a broker's value may come from.
type brokerSettings struct {
	table    []configKey
	own, all map[string]string // what clients have set for the broker, and for all
}

// readSettings reads what is set for a broker by its id, or "" for all.
func readSettings(st *metadata.State, name string, table []configKey) brokerSettings {
	b := brokerSettings{table: table, all: st.Configs(metadata.ResourceBroker, "")}
	if name != "" {
		b.own = st.Configs(metadata.ResourceBroker, name)
	}
	return b
}

// listSynonyms are the settings of a config under all of its names in Kafka's
// order, from the one of the asked name on.
func (b *brokerSettings) listSynonyms(name string, names []string) (out []synonymValue) {
	add := func(value func(string) *string, source kmsg.ConfigSource) {
		for _, n := range names {
			if v := value(n); v != nil {
				out = append(out, synonymValue{n, v, source})
			}
		}
	}
	add(func(n string) *string { return lookupValue(b.own, n) }, kmsg.ConfigSourceDynamicBrokerConfig)
	add(func(n string) *string { return lookupValue(b.all, n) }, kmsg.ConfigSourceDynamicDefaultBrokerConfig)
	add(func(n string) *string {
		if k, ok := findConfig(b.table, n); ok {
			return k.ownValue
		}
		return nil
	}, kmsg.ConfigSourceStaticBrokerConfig)
	add(func(n string) *string {
		if k, ok := findConfig(b.table, n); ok {
			return k.Default
		}
		return nil
	}, kmsg.ConfigSourceDefaultConfig)
	first := slices.IndexFunc(out, func(y synonymValue) bool { return y.name == name })
	if first < 0 {
		return nil
	}
	return out[first:]
}

// dynamicValue is what clients have set for the broker, or else for all; nil: nothing.
func (b *brokerSettings) dynamicValue(name string) *string {
	if v := lookupValue(b.own, name); v != nil {
		return v
	}
	return lookupValue(b.all, name)
}

// effectiveValue is a config's value at the broker; "" where it has none.
func (b *brokerSettings) effectiveValue(name string) string {
	v := b.dynamicValue(name)
	if k, ok := findConfig(b.table, name); ok && v == nil {
		v = k.currentValue()
	}
	if v == nil {
		return ""
	}
	return *v
}

func lookupValue(set map[string]string, name string) *string {
	if v, ok := set[name]; ok {
		return &v
	}
	return nil
}
