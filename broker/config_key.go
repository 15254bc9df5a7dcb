package broker

import (
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/configs"
)

// configKey is one of Kafka's configs, and its use here. DescribeConfigs, the
// checks of alterations and enforcement all use it.
type configKey struct {
	configs.Key
	configRow
	// ownValue is this broker's value if it is not Kafka's default: it is described
	// as a static config.
	ownValue *string
}

// configRow is a row of the tables of configs (topicRows, brokerRows, groupRows,
// clientMetricsRows).
type configRow struct {
	// names of configs, separated by spaces. One that ends in * matches every config
	// with that prefix that has no row of its own and cannot be set at run time.
	names      string
	use        configUse
	meaning    string // its meaning here, in addition to Kafka's documentation
	enforcedBy string // what enforces a served config: a field, a constant or a function
	// value is the running broker's; nil: Kafka's default.
	value func(*Server) string
	// applyRule puts a topic's value into effect.
	applyRule func(*topicConfigRules, string)
	// validate returns a further error of a value, or ""; nil: no check.
	validate func(string) string
	// checkChange returns why a broker config cannot change to a value at run time, or
	// "".
	checkChange func(name, from, to string) string
}

// configUse is the use of a config here.
type configUse uint8

const (
	useServed configUse = iota // works as in Kafka
	useStored                  // accepted and described; not enforced by this version
	useInert                   // accepted and described; has no effect here
	useFixed                   // described, and cannot be altered
)

// String returns the use's name in the documentation.
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

// configTypeUnknown is the type of unknown configs.
const configTypeUnknown kmsg.ConfigType = 0

// isReadOnly reports whether DescribeConfigs marks it as read-only. Kafka does
// not for configs that can change for one listener only.
func (k *configKey) isReadOnly() bool {
	if k.Mode == configs.ReadOnly {
		return k.use != useServed || k.checkChange == nil
	}
	return k.use == useFixed && !k.PerListener
}

// currentValue is the value without dynamic configs; nil: null.
func (k *configKey) currentValue() *string {
	if k.ownValue != nil {
		return k.ownValue
	}
	return k.Default
}

// checkValue returns a value in its stored form, and its error, or "".
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

// documentation is Kafka's documentation, and the differences here.
func (k *configKey) documentation() string {
	switch {
	case k.meaning == "":
		return k.Doc
	case k.Doc == "":
		return k.meaning
	}
	return k.Doc + "\n\nIn zonewise: " + k.meaning
}

// kafkaConfigs are Kafka's definitions; loaded once, and read only. They are
// embedded in the program, and tests check that they can be loaded.
var kafkaConfigs = sync.OnceValue(func() *configs.Tables {
	tables, err := configs.Load()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return tables
})

// joinConfigRows joins Kafka's definitions with the rows.
// TestEveryConfigIsInOneClass finds configs without a row.
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

// coversConfig reports whether one of a row's prefixes matches a config.
func (r *configRow) coversConfig(config string) bool {
	return slices.ContainsFunc(strings.Fields(r.names), func(name string) bool {
		prefix, any := strings.CutSuffix(name, "*")
		return any && strings.HasPrefix(config, prefix)
	})
}

// findConfig finds a config in a table sorted by name.
func findConfig(table []configKey, name string) (*configKey, bool) {
	i, ok := slices.BinarySearchFunc(table, name, func(k configKey, name string) int { return strings.Compare(k.Name, name) })
	if !ok {
		return nil, false
	}
	return &table[i], true
}
