package broker

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientMetricsConfigs are the configs of a client metrics subscription
// (KIP-714). They are stored for tools; clients do not push metrics.
var clientMetricsConfigs = sync.OnceValue(func() []configKey {
	return joinConfigRows(kafkaConfigs().ClientMetrics, []configRow{
		{names: "interval.ms", use: useInert, meaning: "No meaning here: clients do not push metrics.", validate: checkMetricsInterval},
		{names: "match", use: useInert, meaning: "No meaning here: clients do not push metrics.", validate: checkMetricsMatch},
		{names: "metrics", use: useInert, meaning: "No meaning here: clients do not push metrics."},
	})
})

func checkMetricsInterval(v string) string {
	if n := parseChecked(v); n < 100 || n > 3_600_000 {
		return fmt.Sprintf("Invalid value %d for interval.ms, interval must be between 100 and 3600000 (1 hour)", n)
	}
	return ""
}

// checkMetricsMatch checks a list of selector=pattern.
func checkMetricsMatch(v string) string {
	for _, p := range splitList(v) {
		name, pattern, ok := strings.Cut(p, "=")
		switch strings.TrimSpace(name) {
		case "client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port":
		default:
			return "Illegal client matching pattern: " + p
		}
		if _, err := regexp.Compile(strings.TrimSpace(pattern)); !ok || err != nil {
			return "Illegal client matching pattern: " + p
		}
	}
	return ""
}

// listClientMetricsValues describes a subscription. As in Kafka, a set config
// has no default synonym.
func listClientMetricsValues(set map[string]string) []configValue {
	var out []configValue
	table := clientMetricsConfigs()
	for i := range table {
		k := &table[i]
		v := configValue{key: k, value: k.Default, source: kmsg.ConfigSourceDefaultConfig}
		if own, ok := set[k.Name]; ok {
			v.synonyms = []synonymValue{{k.Name, &own, kmsg.ConfigSourceClientMetricsConfig}}
		}
		v.useFirstSynonym()
		out = append(out, v)
	}
	return out
}
