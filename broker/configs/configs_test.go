package configs

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func load(t *testing.T) *Tables {
	t.Helper()
	tables, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// What a new version of Kafka checks by code that is not known here must be
// noticed, and its own defaults must pass its own rules.
func TestTablesAreKafkas(t *testing.T) {
	tables := load(t)
	known := []string{"", gzipLevels, throttledReplicas, offsetResets, notNull, listHasItems}
	for name, want := range map[string]struct {
		keys  []Key
		least int
	}{"broker": {tables.Broker, 382}, "topic": {tables.Topic, 38}, "group": {tables.Group, 27}, "client metrics": {tables.ClientMetrics, 3}} {
		if len(want.keys) < want.least {
			t.Errorf("%d configs of resource %s, Kafka 4.4 has %d", len(want.keys), name, want.least)
		}
		if !slices.IsSortedFunc(want.keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("configs of resource %s are not sorted", name)
		}
		for _, k := range want.keys {
			if !slices.Contains(known, k.Valid.Other) {
				t.Errorf("%s: no check for %q", k.Name, k.Valid.Other)
			}
			if k.Default == nil {
				continue
			}
			if v, problem := k.Check(*k.Default); problem != "" && k.Mode != ReadOnly || problem == "" && v != *k.Default {
				t.Errorf("default of %s: %q is read as %q, %s", k.Name, *k.Default, v, problem)
			}
		}
	}
}

// Words and verdicts of Apache Kafka 4.4.0, asked by IncrementalAlterConfigs.
func TestValuesAreJudgedAsKafkaDoes(t *testing.T) {
	tables := load(t)
	for _, c := range []struct {
		keys              []Key
		name, value, want string
	}{
		{tables.Broker, "num.io.threads", "x", "Invalid value x for configuration num.io.threads: Not a number of type INT"},
		{tables.Broker, "num.io.threads", "", "Invalid value  for configuration num.io.threads: Not a number of type INT"},
		{tables.Broker, "num.io.threads", "0", "Invalid value 0 for configuration num.io.threads: Value must be at least 1"},
		{tables.Broker, "num.io.threads", " 7 ", ""},
		{tables.Broker, "num.io.threads", "99999999999", "Invalid value 99999999999 for configuration num.io.threads: Not a number of type INT"},
		{tables.Broker, "sasl.login.refresh.buffer.seconds", "40000", "Invalid value 40000 for configuration sasl.login.refresh.buffer.seconds: Not a number of type SHORT"},
		{tables.Broker, "log.cleaner.min.cleanable.ratio", "1.5", "Invalid value 1.5 for configuration log.cleaner.min.cleanable.ratio: Value must be no more than 1"},
		{tables.Broker, "log.preallocate", "yes", "Invalid value yes for configuration log.preallocate: Expected value to be either true or false"},
		{tables.Broker, "compression.gzip.level", "0", "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
		{tables.Broker, "compression.zstd.level", "-131073", "Invalid value -131073 for configuration compression.zstd.level: Value must be at least -131072"},
		{tables.Broker, "compression.type", "x", "Invalid value x for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
		{tables.Broker, "log.cleanup.policy", "compact, delete", ""},
		{tables.Broker, "log.cleanup.policy", "", ""},
		{tables.Broker, "log.cleanup.policy", "a,a", "Configuration 'log.cleanup.policy' values must not be duplicated."},
		{tables.Broker, "listeners", "", "Configuration 'listeners' must not be empty. Valid values include: any non-empty value"},
		{tables.Broker, "principal.builder.class", "x", "Invalid value x for configuration principal.builder.class: Class x could not be found."},
		{tables.Topic, "leader.replication.throttled.replicas", "0:1,1:2", ""},
		{tables.Topic, "leader.replication.throttled.replicas", "*", ""},
		{tables.Group, "share.auto.offset.reset", "by_duration:PT1H", ""},
	} {
		i := slices.IndexFunc(c.keys, func(k Key) bool { return k.Name == c.name })
		if _, got := c.keys[i].Check(c.value); got != c.want {
			t.Errorf("%s=%q: %q, Kafka says %q", c.name, c.value, got, c.want)
		}
	}
}

func TestSecretsAreTold(t *testing.T) {
	for _, k := range load(t).Broker {
		if want := strings.HasSuffix(k.Name, "password") || k.Type == kmsg.ConfigTypePassword; k.Sensitive() != want {
			t.Errorf("%s: sensitive %v", k.Name, k.Sensitive())
		}
	}
}
