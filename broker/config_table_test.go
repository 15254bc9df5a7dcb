package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/configs"
	"github.com/zonewise/zonewise/metadata"
)

// Every config that Kafka defines is in one class, and what is served names
// what enforces it.
func TestEveryConfigIsInOneClass(t *testing.T) {
	tables := kafkaConfigs()
	synonyms := ""
	for _, k := range topicConfigs() {
		synonyms += " " + k.brokerSynonym()
	}
	for _, c := range []struct {
		resource string
		keys     []configs.Key
		rows     []configRow
		table    []configKey
	}{
		{"broker", tables.Broker, append(brokerRows(), configRow{names: synonyms}), brokerTable()},
		{"topic", tables.Topic, topicRows(), topicConfigs()},
		{"group", tables.Group, groupRows(), groupTable()},
		{"client metrics", tables.ClientMetrics, nil, clientMetricsConfigs()},
	} {
		rows := map[string]int{}
		for _, r := range c.rows {
			for _, name := range strings.Fields(r.names) {
				rows[name]++
			}
			if r.use == useServed && r.names != synonyms && r.enforcedBy == "" {
				t.Errorf("%s: served, and nothing enforces it", r.names)
			}
			if r.use != useServed && r.use != useFixed && r.enforcedBy != "" {
				t.Errorf("%s: %s, and %s enforces it", r.names, r.use, r.enforcedBy)
			}
			if r.use == useServed && strings.Contains(r.meaning, "No meaning here") || r.use == useInert && !strings.Contains(r.meaning, "No meaning here") && !strings.Contains(r.meaning, "Refused if") {
				t.Errorf("%s: %s, and says %q", r.names, r.use, r.meaning)
			}
		}
		for name, n := range rows {
			if n > 1 {
				t.Errorf("%s %s has %d rows", c.resource, name, n)
			}
			prefix, pattern := strings.CutSuffix(name, "*")
			if name != latencyConfig && !slices.ContainsFunc(c.keys, func(k configs.Key) bool { return k.Name == name || pattern && strings.HasPrefix(k.Name, prefix) }) {
				t.Errorf("%s %s is not known to Kafka", c.resource, name)
			}
		}
		for _, want := range c.keys {
			k, ok := findConfig(c.table, want.Name)
			if !ok {
				t.Errorf("%s %s is in no class", c.resource, want.Name)
				continue
			}
			covered := 0
			for _, r := range c.rows {
				if rows[k.Name] == 0 && r.coversConfig(k.Name) {
					covered++
				}
			}
			switch {
			case covered > 1:
				t.Errorf("%s %s is in %d classes", c.resource, k.Name, covered)
			case covered == 1 && k.Mode != configs.ReadOnly && !k.Internal:
				t.Errorf("%s %s can be set at run time, in Kafka: it wants a row with its name", c.resource, k.Name)
			case k.Mode == configs.ReadOnly && (k.use == useStored || k.use == useInert):
				t.Errorf("%s %s cannot be set in Kafka, and is %s here", c.resource, k.Name, k.use)
			case k.use != useServed && k.meaning == "":
				t.Errorf("%s %s is %s, and nothing says why", c.resource, k.Name, k.use)
			}
		}
		for _, k := range c.table {
			if k.meaning != "" && (len(k.meaning) < 20 || !strings.HasSuffix(k.meaning, ".")) {
				t.Errorf("%s: %q", k.Name, k.meaning)
			}
			if k.Default != nil && k.Mode != configs.ReadOnly && !k.PerListener {
				if v, problem := k.checkValue(*k.Default); problem != "" || v != *k.Default {
					t.Errorf("default of %s: %q, %s", k.Name, v, problem)
				}
			}
		}
	}
}

// describedConfig is a line of testdata/kafka-4.4.0-configs.json: what Apache Kafka
// 4.4.0 told of a config for which nothing is set, with synonyms.
type describedConfig struct {
	Resource int8     `json:"resource"`
	Name     string   `json:"name"`
	Type     int8     `json:"type"`
	Value    *string  `json:"value"`
	Source   int8     `json:"source"`
	ReadOnly bool     `json:"readOnly"`
	Secret   bool     `json:"secret"`
	Synonyms []string `json:"synonyms"` // name=value(source)
}

// What is told of configs is what Kafka tells, but for values of this broker's
// own and for those that may not change here.
func TestConfigsAreToldAsKafkaTells(t *testing.T) {
	content, err := os.ReadFile("testdata/kafka-4.4.0-configs.json")
	if err != nil {
		t.Fatal(err)
	}
	var want []describedConfig
	if err := json.Unmarshal(content, &want); err != nil {
		t.Fatal(err)
	}
	fixedHere := []string{"listeners", "listener.security.protocol.map", "sasl.jaas.config"}
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("probe", 1)
		got := map[string]describedConfig{}
		for kind, name := range map[kmsg.ConfigResourceType]string{2: "probe", 4: "0", 16: "m", 32: "g"} {
			for _, c := range r.describe(kind, name) {
				told := describedConfig{int8(kind), c.Name, int8(c.ConfigType), c.Value, int8(c.Source), c.ReadOnly, c.IsSensitive, nil}
				for _, y := range c.ConfigSynonyms {
					told.Synonyms = append(told.Synonyms, synonymText(y))
				}
				got[fmt.Sprintf("%d %s", kind, c.Name)] = told
				if c.Documentation == nil {
					t.Errorf("%s has no documentation", c.Name)
				}
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d configs, Kafka tells of %d", len(got), len(want))
		}
		for _, w := range want {
			g, ok := got[fmt.Sprintf("%d %s", w.Resource, w.Name)]
			if !ok {
				t.Errorf("%s is not told", w.Name)
				continue
			}
			if w.Name == "min.insync.replicas" { // a setting of the cluster, where it has eligible leader replicas
				w.Source, w.Synonyms = g.Source, g.Synonyms
			}
			static := func(c describedConfig) bool { return c.Source == int8(kmsg.ConfigSourceStaticBrokerConfig) }
			if static(g) || static(w) { // of the one broker and of the other
				g.Value, g.Source, g.Synonyms, w.Value, w.Source, w.Synonyms = nil, 0, nil, nil, 0, nil
			}
			if slices.Contains(fixedHere, w.Name) {
				w.ReadOnly = true
			} else if w.Name == metadata.TxnExpiryConfig { // Kafka has it in a broker's file alone
				w.ReadOnly = false
			}
			if a, b := fmt.Sprintf("%+v", toldText(g)), fmt.Sprintf("%+v", toldText(w)); a != b {
				t.Errorf("%s\nKafka tells %s", a, b)
			}
		}
	})
}

func toldText(c describedConfig) []any {
	v := "null"
	if c.Value != nil {
		v = fmt.Sprintf("%q", *c.Value)
	}
	return []any{c.Resource, c.Name, c.Type, v, c.Source, c.ReadOnly, c.Secret, c.Synonyms}
}

func synonymText(y kmsg.DescribeConfigsResponseResourceConfigConfigSynonym) string {
	v := "null"
	if y.Value != nil {
		v = *y.Value
	}
	return fmt.Sprintf("%s=%s(%d)", y.Name, v, y.Source)
}

// describe asks for all configs of a resource, or for those named.
func (r *raw) describe(kind kmsg.ConfigResourceType, resource string, names ...string) []kmsg.DescribeConfigsResponseResourceConfig {
	q := kmsg.NewPtrDescribeConfigsRequest()
	q.Version, q.IncludeSynonyms, q.IncludeDocumentation = 4, true, true
	q.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: resource, ConfigNames: names}}
	return r.roundTrip(q).(*kmsg.DescribeConfigsResponse).Resources[0].Configs
}

// described is a config's value and its synonyms; "" where it is not told.
func (r *raw) described(kind kmsg.ConfigResourceType, resource, name string) string {
	all := r.describe(kind, resource, name)
	if len(all) == 0 {
		return ""
	}
	out := "null"
	if v := all[0].Value; v != nil {
		out = *v
	}
	for _, y := range all[0].ConfigSynonyms {
		out += " " + synonymText(y)
	}
	return out
}

// Values as this broker's own configuration has them, asked by name.
func TestABrokerTellsItsOwnValues(t *testing.T) {
	inBubble(t, func(c *Config) { c.DefaultPartitions, c.OffsetsPartitions = 7, 3 }, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		for name, want := range map[string]string{
			"node.id":                      "0 node.id=0(4)",
			"broker.id":                    "0 broker.id=0(4) broker.id=-1(5)",
			"log.dirs":                     "/zonewise log.dirs=/zonewise(4)",
			"num.partitions":               "7 num.partitions=7(4) num.partitions=1(5)",
			"offsets.topic.num.partitions": "3 offsets.topic.num.partitions=3(4) offsets.topic.num.partitions=50(5)",
			"transaction.max.timeout.ms":   fmt.Sprintf("%d transaction.max.timeout.ms=%[1]d(5)", MaxTxnTimeoutMs),
			"group.max.size":               "5000 group.max.size=5000(4) group.max.size=2147483647(5)",
			"max.connections":              "20000 max.connections=20000(4) max.connections=2147483647(5)",
			"num.io.threads":               "8 num.io.threads=8(5)",
			"log.retention.ms":             "null",
			"log.retention.hours":          "168 log.retention.hours=168(5)",
			"log.cleaner.threads":          "1 log.cleaner.threads=1(5)",
			"unstable.api.versions.enable": "",
		} {
			if got := r.described(kmsg.ConfigResourceTypeBroker, "0", name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

// Id, zone and addresses are those of the broker in question, also where
// another answers.
func TestABrokerTellsOfOthersWhatIsTheirs(t *testing.T) {
	zones := []metadata.ZoneID{"a", "b"}
	w := newWorld(t)
	for _, z := range zones {
		w.tcp(z, zones, nil)
	}
	asked, other := w.nodes[0], w.nodes[1]
	if err := asked.server.barrier(testContext(t)); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprint(int32(other.id))
	table := asked.server.addBrokerAddress(asked.server.brokerConfigs(), name, "a")
	for config, want := range map[string]string{"node.id": name, "broker.id": name, "broker.rack": "b", "advertised.listeners": "PLAINTEXT://" + other.zoned["a"]} {
		if k, _ := findConfig(table, config); k.ownValue == nil || *k.ownValue != want {
			t.Errorf("%s of broker %s: %v, want %s", config, name, k.ownValue, want)
		}
	}
}

// What Apache Kafka 4.4.0 answers to settings of brokers, tried.
func TestSettingsOfBrokersAreJudgedAsKafkaDoes(t *testing.T) {
	const notAll, perListener = "Cannot update these configs at default cluster level, broker id must be specified: [%s]",
		"These security configs can be dynamically updated only per-listener using the listener prefix: [%s]"
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		for _, c := range []struct {
			resource, name, value string
			code                  int16
			words                 string // %s is the config's name
		}{
			{"", "node.id", "5", 42, "Cannot update these configs dynamically: [%s]"},
			{"0", "group.max.size", "5", 42, "Cannot update these configs dynamically: [%s]"},
			{"", "num.io.threads", "15001", 42, "value should not be greater than double the current value 8"},
			{"0", "num.io.threads", "3", 42, "value should be at least half the current value 8"},
			{"", "num.io.threads", "16", 0, ""},
			{"0", "num.io.threads", "x", 42, "Not a number of type INT"},
			{"", "log.cleaner.threads", "0", 42, ""},
			{"", "log.cleaner.threads", "3", 42, "more than double the current value 1"},
			{"", "log.cleaner.dedupe.buffer.size", "10", 42, "at least 1MB per cleaner thread"},
			{"", "max.connections", "0", 42, "Invalid max.connections 0"},
			{"", "max.connections", "5", 0, ""},
			{"0", "max.connections.per.ip", "0", 42, "only if max.connections.per.ip.overrides property is set"},
			{"", "max.connections.per.ip.overrides", "x", 42, "Error parsing"},
			{"", "max.connections.per.ip.overrides", "localhost:5", 0, ""},
			{"", "sasl.login.refresh.buffer.seconds", "7", 42, notAll},
			{"", "sasl.login.refresh.buffer.seconds", "x", 42, "Not a number of type SHORT"},
			{"0", "sasl.login.refresh.buffer.seconds", "7", 0, ""},
			{"0", "ssl.keystore.location", "/x", 42, perListener},
			{"", "log.retention.ms", "0", 42, "must be unlimited (-1)"},
			{"", "log.retention.ms", "-1", 0, ""},
			{"", "log.roll.ms", "0", 42, "greater than or equal to 1"},
			{"", "log.local.retention.ms", "99999999999", 42, "Value must not be more than log.retention.ms property value: 604800000"},
			{"", "group.consumer.assignment.interval.ms", "15001", 42, ""},
			{"0", "cordoned.log.dirs", "x", 42, "Missing entries : x"},
			{"", "metric.reporters", "x", 42, ""},
			{"", "remote.fetch.max.wait.ms", "10", 0, ""},
			{"", "transactional.id.expiration.ms", "1000", 0, ""},
			{"5", "num.io.threads", "8", 42, "but received 5"},
			{"x", "num.io.threads", "8", 42, "Node id must be an integer, but it is: x"},
		} {
			for _, legacy := range []bool{false, true} {
				code, words := r.validate(c.resource, c.name, c.value, legacy)
				want := c.words
				if strings.Contains(want, "%s") {
					want = fmt.Sprintf(want, c.name)
				}
				if code != c.code || !strings.Contains(words, want) {
					t.Errorf("%q %s=%s, replaced %v: %d %q; Kafka says %d %q", c.resource, c.name, c.value, legacy, code, words, c.code, want)
				}
			}
		}
		if set := r.describe(kmsg.ConfigResourceTypeBroker, ""); len(set) > 0 {
			t.Errorf("what was only to be judged is set: %+v", set)
		}
	})
}

// validate asks whether a broker's config could be set.
func (r *raw) validate(resource, name, value string, legacy bool) (code int16, words string) {
	said := (*string)(nil)
	if legacy {
		q := kmsg.NewPtrAlterConfigsRequest()
		q.Version, q.ValidateOnly = 2, true
		q.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: resource,
			Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: name, Value: &value}}}}
		got := r.roundTrip(q).(*kmsg.AlterConfigsResponse).Resources[0]
		code, said = got.ErrorCode, got.ErrorMessage
	} else {
		q := kmsg.NewPtrIncrementalAlterConfigsRequest()
		q.Version, q.ValidateOnly = 1, true
		q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: resource,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: name, Value: &value}}}}
		got := r.roundTrip(q).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		code, said = got.ErrorCode, got.ErrorMessage
	}
	if said != nil {
		words = *said
	}
	return code, words
}

// Defaults of the rules are the table's, and what is set for all brokers is a
// topic's default under its other name.
func TestRulesOfBatchesComeFromTheTable(t *testing.T) {
	var b brokerSettings
	rules, lane := readBatchRules(&b, nil)
	want := batchRules{maxBytes: 1048588, segmentBytes: 1 << 30, maxBeforeMs: 1<<63 - 1, maxAfterMs: 3_600_000, codec: codecProducer}
	if rules != want || lane != metadata.LaneStandard || refusesTrim(&b, nil) {
		t.Errorf("%+v in lane %v", rules, lane)
	}
	rules, lane = readBatchRules(&b, map[string]string{"compression.type": "zstd", "compression.zstd.level": "7", "cleanup.policy": "compact", latencyConfig: "low", "max.message.bytes": "5"})
	want.codec, want.codecLevel, want.compacted, want.maxBytes = codecZstd, 7, true, 5
	if rules != want || lane != metadata.LaneLow {
		t.Errorf("%+v in lane %v", rules, lane)
	}
	for policy, refused := range map[string]bool{"compact": true, "compact,delete": false, "delete": false, "": false} {
		if refusesTrim(&b, map[string]string{"cleanup.policy": policy}) != refused {
			t.Errorf("cleanup.policy %q refuses DeleteRecords: %v, want %v", policy, !refused, refused)
		}
	}
	b.all = map[string]string{"message.max.bytes": "6", "log.message.timestamp.type": "LogAppendTime"}
	b.own = map[string]string{"message.max.bytes": "7"}
	if rules, _ = readBatchRules(&b, nil); rules.maxBytes != 7 || !rules.logAppendTime {
		t.Errorf("%+v", rules)
	}
	if rules, _ = readBatchRules(&b, map[string]string{"max.message.bytes": "8"}); rules.maxBytes != 8 {
		t.Errorf("%+v", rules)
	}
	for _, k := range topicConfigs() {
		if strings.HasPrefix(k.enforcedBy, "metadata.") {
			continue // by apply
		}
		if (k.applyRule != nil) != (k.enforcedBy != "" || k.Name == "cleanup.policy") {
			t.Errorf("%s: enforced by %q, with a rule: %v", k.Name, k.enforcedBy, k.applyRule != nil)
		}
	}
}

// A broker takes as many connections as max.connections says.
func TestMaxConnectionsIsEnforced(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		value := "1"
		if code := r.alterOne(kmsg.ConfigResourceTypeBroker, "0", "max.connections", kmsg.IncrementalAlterConfigOpSet, &value); code != noError {
			t.Fatalf("set: %d", code)
		}
		if limit := n.server.connectionLimit(); limit != 1 {
			t.Errorf("limit is %d", limit)
		}
		if n.server.LimitUsages()[0].Limit != 1 {
			t.Errorf("told: %+v", n.server.LimitUsages())
		}
		second := dial()
		asked := time.Now()
		if _, err := second.c.Read(make([]byte, 1)); err == nil || time.Since(asked) > time.Second {
			t.Errorf("a second connection is taken: it ends after %v, %v", time.Since(asked), err)
		}
	})
}
