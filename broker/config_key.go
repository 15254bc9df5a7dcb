package broker

import (
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/configs"
)

// configKey is one of Kafka's configs, and what becomes of it here. What
// DescribeConfigs tells, what an alteration may set and what is enforced all
// come from it.
type configKey struct {
	configs.Key
	configRow
	// ownValue is this broker's value where it is not Kafka's default: it is told
	// as a static setting.
	ownValue *string
}

// configRow is a row of the lists that say what becomes of configs here
// (topicRows, brokerRows, groupRows, clientMetricsRows).
type configRow struct {
	// names of configs, separated by spaces. One that ends in * is for every
	// config that begins so, has no row with its name and cannot be set at run
	// time.
	names      string
	use        configUse
	meaning    string // what it means here, beside Kafka's own words
	enforcedBy string // what enforces it, where it is served: a field, a constant or a function
	// value is the running broker's; nil: Kafka's default.
	value func(*Server) string
	// applyRule puts a topic's value into effect.
	applyRule func(*topicConfigRules, string)
	// validate says what else is wrong with a value, or ""; nil: nothing.
	validate func(string) string
	// checkChange says why the value may not become another at run time, or ""; of
	// brokers.
	checkChange func(name, from, to string) string
}

// configUse says what becomes of a config.
type configUse uint8

const (
	useServed configUse = iota // it does what Kafka's does
	useStored                  // accepted and told; not enforced by this version
	useInert                   // accepted and told; has no meaning here
	useFixed                   // told, and cannot be altered
)

// String names the use in documentation.
func (u configUse) String() string {
	switch u {
	case useStored:
		return "accepted, not enforced yet"
	case useInert:
		return "accepted, no meaning here"
	case useFixed:
		return "read-only"
	}
	return "served"
}

// configTypeUnknown is the type of what no broker knows.
const configTypeUnknown kmsg.ConfigType = 0

// isReadOnly reports whether clients are told that they cannot alter it. Kafka
// tells of configs that change for one listener alone that they may change.
func (k *configKey) isReadOnly() bool {
	if k.Mode == configs.ReadOnly {
		return k.use != useServed || k.checkChange == nil
	}
	return k.use == useFixed && !k.PerListener
}

// currentValue is the value without any setting of clients; nil: null.
func (k *configKey) currentValue() *string {
	if k.ownValue != nil {
		return k.ownValue
	}
	return k.Default
}

// checkValue returns a value as it is kept, and says what is wrong with it, or "".
func (k *configKey) checkValue(v string) (canonical, problem string) {
	if k.Type == configTypeUnknown {
		canonical = v
	} else if canonical, problem = k.Check(v); problem != "" {
		return "", problem
	}
	if k.validate != nil {
		problem = k.validate(canonical)
	}
	return canonical, problem
}

// documentation is what Kafka says of it, and what is otherwise here.
func (k *configKey) documentation() string {
	switch {
	case k.meaning == "":
		return k.Doc
	case k.Doc == "":
		return k.meaning
	}
	return k.Doc + "\n\nIn zonewise: " + k.meaning
}

// kafkaConfigs are Kafka's definitions; read once, and read only. They are part
// of the program: its tests know that they can be read.
var kafkaConfigs = sync.OnceValue(func() *configs.Tables {
	tables, err := configs.Load()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return tables
})

// joinConfigRows joins Kafka's definitions with what becomes of each here. A config
// without a row is missing, which TestEveryConfigIsInOneClass finds.
func joinConfigRows(keys []configs.Key, rows []configRow) []configKey {
	exact := map[string]*configRow{}
	for i := range rows {
		for _, name := range strings.Fields(rows[i].names) {
			exact[name] = &rows[i]
		}
	}
	out := make([]configKey, 0, len(keys)+1)
	for _, k := range keys {
		row := exact[k.Name]
		for i := range rows {
			if row == nil && rows[i].coversConfig(k.Name) {
				row = &rows[i]
			}
		}
		if row != nil {
			out = append(out, configKey{Key: k, configRow: *row})
		}
	}
	return out
}

// coversConfig reports whether one of a row's names that end in * is for a config.
func (r *configRow) coversConfig(config string) bool {
	return slices.ContainsFunc(strings.Fields(r.names), func(name string) bool {
		prefix, any := strings.CutSuffix(name, "*")
		return any && strings.HasPrefix(config, prefix)
	})
}

// findConfig looks a config up in a table that is sorted by name.
func findConfig(table []configKey, name string) (*configKey, bool) {
	i, ok := slices.BinarySearchFunc(table, name, func(k configKey, name string) int { return strings.Compare(k.Name, name) })
	if !ok {
		return nil, false
	}
	return &table[i], true
}
