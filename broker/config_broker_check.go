package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/configs"
)

// Checks of Kafka's brokers in addition to its config definitions, as observed
// with Apache Kafka 4.4.0.

// brokerValueCheck returns the additional check of a broker config that is the
// default of a topic's; nil: none.
func brokerValueCheck(name string) func(string) string {
	switch name {
	case "log.roll.ms":
		return checkAtLeast(name, 1)
	case "log.roll.jitter.ms":
		return checkAtLeast(name, 0)
	case "log.retention.ms":
		return func(v string) string {
			if v == "0" {
				return "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1"
			}
			return ""
		}
	}
	return nil
}

func checkAtLeast(name string, least int64) func(string) string {
	return func(v string) string {
		if parseChecked(v) < least {
			return fmt.Sprintf("requirement failed: %s must be greater than or equal to %d", name, least)
		}
		return ""
	}
}

func checkNotZero(name string) func(string) string {
	return func(v string) string {
		if v == "0" {
			return "Invalid " + name + " 0"
		}
		return ""
	}
}

func checkReporters(v string) string {
	for _, class := range splitList(v) {
		if class != "org.apache.kafka.common.metrics.JmxReporter" {
			return "Validation of dynamic config update of [metric.reporters] failed: class " + class + " could not be found."
		}
	}
	return ""
}

func checkLogDirs(v string) string {
	for _, dir := range splitList(v) {
		if dir != logDir {
			return "requirement failed: All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : " + dir
		}
	}
	return ""
}

// allowAnyChange allows every value at run time.
func allowAnyChange(string, string, string) string { return "" }

// checkThreadChange allows at most the double and at least half of a number of
// threads.
func checkThreadChange(name, from, to string) string {
	switch old, now := parseChecked(from), parseChecked(to); {
	case now > old*2:
		return fmt.Sprintf("Dynamic thread count update validation failed for %s=%d, value should not be greater than double the current value %d", name, now, old)
	case now < old/2:
		return fmt.Sprintf("Dynamic thread count update validation failed for %s=%d, value should be at least half the current value %d", name, now, old)
	}
	return ""
}

func checkCleanerChange(_, from, to string) string {
	switch old, now := parseChecked(from), parseChecked(to); {
	case now < 1:
		return "log.cleaner.threads must be at least 1"
	case now > old*2:
		return fmt.Sprintf("Log cleaner threads cannot be increased to more than double the current value %d", old)
	case now < old/2:
		return fmt.Sprintf("Log cleaner threads cannot be reduced to less than half the current value %d", old)
	}
	return ""
}

// parseChecked parses a number that was checked before.
func parseChecked(v string) int64 {
	n, _ := strconv.ParseInt(v, 10, 64)
	return n
}

// checkAlterable returns why a broker config cannot be set at run time, or not
// for all brokers; "" if it can.
func (k *configKey) checkAlterable(forAll bool) string {
	switch {
	case k.Type == configTypeUnknown:
	case k.PerListener:
		return "These security configs can be dynamically updated only per-listener using the listener prefix: [" + k.Name + "]"
	case k.isReadOnly():
		return "Cannot update these configs dynamically: [" + k.Name + "]"
	case forAll && k.Mode == configs.PerBroker:
		return "Cannot update these configs at default cluster level, broker id must be specified: [" + k.Name + "]"
	}
	return ""
}

// checkBrokerConflict returns why the resulting configs are invalid; "" if they
// are valid. changed are the names in an alteration.
func checkBrokerConflict(before, after *brokerSettings, changed []string) string {
	number := func(name string) int64 { return parseChecked(after.effectiveValue(name)) }
	for _, name := range changed {
		k, ok := findConfig(after.table, name)
		if !ok {
			continue
		}
		if from, to := before.effectiveValue(name), after.effectiveValue(name); k.checkChange != nil && from != to {
			if text := k.checkChange(name, from, to); text != "" {
				return text
			}
		}
		if text := checkGroupBounds(k, after.effectiveValue(name), after); text != "" {
			return text
		}
	}
	about := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(changed, name) })
	}
	if about("log.cleaner.dedupe.buffer.size", "log.cleaner.threads") && number("log.cleaner.dedupe.buffer.size") < number("log.cleaner.threads")<<20 {
		return "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."
	}
	if about("max.connections.per.ip", "max.connections.per.ip.overrides") {
		overrides := after.effectiveValue("max.connections.per.ip.overrides")
		switch {
		case !isPerAddressList(overrides):
			return "Error parsing configuration property 'max.connections.per.ip.overrides': " + overrides
		case overrides == "" && number("max.connections.per.ip") == 0:
			return "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set."
		}
	}
	if !about("log.local.retention.ms", "log.local.retention.bytes", "log.retention.ms", "log.retention.bytes", "log.remote.copy.lag.ms", "log.remote.copy.lag.bytes") {
		return ""
	}
	return checkTierConflict(after)
}

// checkTierConflict returns which configs of tiered storage contradict each
// other, or "". There is no tiered storage here; Kafka checks them even without
// it.
func checkTierConflict(b *brokerSettings) string {
	keepMs := int64(604_800_000) // of log.retention.hours, if log.retention.ms is not set
	if v := b.effectiveValue("log.retention.ms"); v != "" {
		keepMs = parseChecked(v)
	}
	for _, r := range []struct {
		unit string
		keep int64
	}{{"ms", keepMs}, {"bytes", parseChecked(b.effectiveValue("log.retention.bytes"))}} {
		local, lag := parseChecked(b.effectiveValue("log.local.retention."+r.unit)), parseChecked(b.effectiveValue("log.remote.copy.lag."+r.unit))
		if r.keep >= 0 && local != -2 && (local == -1 || local > r.keep) {
			return fmt.Sprintf("Invalid value %d for configuration log.local.retention.%s: Value must not be more than log.retention.%[2]s property value: %d", local, r.unit, r.keep)
		}
		if local == -2 {
			local = r.keep
		}
		if local >= 0 && lag > local {
			return fmt.Sprintf("Invalid value %d for configuration log.remote.copy.lag.%s: Value must not exceed log.local.retention.%[2]s (effective value: %d)", lag, r.unit, local)
		}
	}
	return ""
}

// isPerAddressList checks max.connections.per.ip.overrides: host:number, ...
func isPerAddressList(v string) bool {
	return !slices.ContainsFunc(splitList(v), func(pair string) bool {
		i := strings.LastIndex(pair, ":")
		if i < 0 {
			return true
		}
		_, err := strconv.ParseInt(strings.TrimSpace(pair[i+1:]), 10, 32)
		return err != nil
	})
}

// checkGroupBounds returns why a group config is outside of the broker's
// group.*.min.* and group.*.max.*, or "".
func checkGroupBounds(k *configKey, v string, b *brokerSettings) string {
	family, rest, ok := strings.Cut(strings.TrimPrefix(k.Name, "group."), ".")
	if !ok || k.Type != kmsg.ConfigTypeInt {
		return ""
	}
	low, hasLow := findConfig(b.table, "group."+family+".min."+rest)
	high, hasHigh := findConfig(b.table, "group."+family+".max."+rest)
	if !hasHigh {
		high, hasHigh = findConfig(b.table, "group."+family+".max."+strings.TrimPrefix(rest, "num."))
	}
	n := parseChecked(v)
	switch {
	case hasLow && hasHigh && (n < parseChecked(*low.currentValue()) || n > parseChecked(*high.currentValue())):
		return k.Name + " must be in the range " + *low.currentValue() + " to " + *high.currentValue() + " inclusive."
	case hasLow && n < parseChecked(*low.currentValue()):
		return k.Name + " must be greater than or equal to " + *low.currentValue()
	case hasHigh && n > parseChecked(*high.currentValue()):
		return k.Name + " must be less than or equal to " + *high.currentValue()
	}
	return ""
}
