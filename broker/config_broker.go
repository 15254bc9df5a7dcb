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

// Limits of unknown broker configs.
const (
	maxConfigName  = 249
	maxConfigValue = 4096
)

// brokerTable is the table of broker configs, the same on all brokers, sorted
// by name; made once, and read only.
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

// setOwnValue sets a broker's own value if it differs from Kafka's default.
func (k *configKey) setOwnValue(v string) {
	if k.Default == nil || *k.Default != v {
		k.ownValue = &v
	}
}

// addBrokerAddress sets the configs that differ between brokers, as Metadata
// has them for clients of the zone.
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

// readOwnSettings reads the configs that clients have set for this broker and
// for all.
func (s *Server) readOwnSettings(st *metadata.State) brokerSettings {
	return readSettings(st, s.brokerResourceName(), brokerTable())
}

// brokerResourceName is the resource name of this broker.
func (s *Server) brokerResourceName() string { return strconv.Itoa(int(s.cfg.Self())) }

// connectionLimit is how many connections this broker accepts: max.connections,
// at most MaxConnections.
func (s *Server) connectionLimit() int {
	most := int64(MaxConnections)
	s.cfg.Replica.View(func(st *metadata.State) {
		b := s.readOwnSettings(st)
		most = min(most, parseChecked(b.effectiveValue("max.connections")))
	})
	return int(most)
}

// isBroker reports whether a resource name is a broker of the placement.
func (s *Server) isBroker(name string) bool {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return false
	}
	return metadata.BrokerID(id) == s.cfg.Self() || s.currentView().hasBroker(metadata.BrokerID(id))
}

// unknownBrokerMessage is Kafka's message for a resource that is not a broker.
func (s *Server) unknownBrokerMessage(name string) string {
	if _, err := strconv.ParseInt(name, 10, 32); err != nil {
		return "Node id must be an integer, but it is: " + name
	}
	return "Unexpected broker id, expected " + strconv.Itoa(int(s.cfg.Self())) + ", but received " + name + ", which is no broker of this cluster"
}

// newUnknownConfig is a broker config that Kafka does not define either and
// that may be a plug-in's: it is stored, and described without its value, which
// may be a secret. Configs of one listener are refused: they would have no
// effect.
func newUnknownConfig(name string) (k *configKey, problem string) {
	switch {
	case strings.HasPrefix(name, "listener.name."):
		return nil, "config " + name + " is not served: listeners have neither TLS nor SASL yet"
	case name == "" || len(name) > maxConfigName:
		return nil, "a config name must have 1 to 249 bytes"
	}
	return &configKey{Key: configs.Key{Name: name, Type: configTypeUnknown, Mode: configs.ReadOnly}, configRow: configRow{use: useFixed, meaning: "Unknown here; stored.", validate: func(v string) string {
		if len(v) > maxConfigValue {
			return "the value of an unknown config may have at most 4096 bytes"
		}
		return ""
	}}}, ""
}

// listUnknownConfigs lists the set configs that are not in the table, sorted.
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

// brokerSettings are the dynamic configs that apply to a broker.
type brokerSettings struct {
	table    []configKey
	own, all map[string]string // set for the broker, and for all
}

// readSettings reads the dynamic configs of a broker by its id, or with ""
// those of all.
func readSettings(st *metadata.State, name string, table []configKey) brokerSettings {
	b := brokerSettings{table: table, all: st.Configs(metadata.ResourceBroker, "")}
	if name != "" {
		b.own = st.Configs(metadata.ResourceBroker, name)
	}
	return b
}

// listSynonyms lists the values of a config under all of its names in Kafka's
// order, starting with the requested name.
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

// dynamicValue is the dynamic value for the broker, or else for all; nil: none.
func (b *brokerSettings) dynamicValue(name string) *string {
	if v := lookupValue(b.own, name); v != nil {
		return v
	}
	return lookupValue(b.all, name)
}

// effectiveValue is a config's value at the broker; "" if it has none.
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
