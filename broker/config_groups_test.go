package broker

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/groups"
)

// A broker that was told other times for groups says so: in its own configs,
// and as the defaults of a group's, whose range has room for them.
func TestConfigsSayWhatTheBrokerWasToldAboutGroups(t *testing.T) {
	told := groups.Config{ConsumerHeartbeatInterval: 500 * time.Millisecond, MaxConsumers: 7, MinSessionTimeout: time.Second,
		InitialRebalanceDelay: -1, OffsetRetention: time.Hour}
	inBubble(t, func(c *Config) { c.GroupSettings = told }, func(t *testing.T, n *node, dial func() *raw) {
		said := map[string]string{}
		table := n.server.brokerConfigs()
		for _, k := range table {
			if v := k.currentValue(); v != nil {
				said[k.Name] = *v
			}
		}
		for name, want := range map[string]string{"group.consumer.heartbeat.interval.ms": "500", "group.consumer.min.heartbeat.interval.ms": "500",
			"group.consumer.max.heartbeat.interval.ms": "15000", "group.consumer.session.timeout.ms": "45000", "group.consumer.max.size": "7",
			"group.min.session.timeout.ms": "1000", "group.max.session.timeout.ms": "1800000", "group.initial.rebalance.delay.ms": "0", "offsets.retention.minutes": "60", "group.max.size": "5000", "offsets.commit.timeout.ms": "5000"} {
			if said[name] != want {
				t.Errorf("%s is said to be %s, want %s", name, said[name], want)
			}
		}
		b := &brokerSettings{table: table}
		values := listGroupValues(groupConfigs(b), b, nil)
		i := slices.IndexFunc(values, func(v configValue) bool { return v.key.Name == "consumer.heartbeat.interval.ms" })
		if *values[i].value != "500" || values[i].source != kmsg.ConfigSourceStaticBrokerConfig {
			t.Errorf("a group's own: %+v", values[i])
		}
		if _, problem := values[i].key.checkValue("500"); problem != "" {
			t.Errorf("a group cannot ask for the broker's default: %s", problem)
		}
	})
}

// Kafka 4.4 tells a group's config as the broker's, under the broker's name,
// and what is set for the group before it.
func TestAGroupsConfigIsTheBrokersUnlessSet(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		value := "50000"
		if code := r.alterOne(kmsg.ConfigResourceTypeGroupConfig, "g", "consumer.session.timeout.ms", kmsg.IncrementalAlterConfigOpSet, &value); code != noError {
			t.Fatalf("set: code %d", code)
		}
		for name, want := range map[string]string{
			"consumer.session.timeout.ms":    "50000 consumer.session.timeout.ms=50000(8) group.consumer.session.timeout.ms=45000(5)",
			"consumer.heartbeat.interval.ms": "5000 group.consumer.heartbeat.interval.ms=5000(5)",
			"share.auto.offset.reset":        "latest share.auto.offset.reset=latest(5)",
			"share.assignor.offload.enable":  "",
		} {
			if got := r.described(kmsg.ConfigResourceTypeGroupConfig, "g", name); got != want {
				t.Errorf("%s: %q, Kafka says %q", name, got, want)
			}
		}
		value = "1500"
		if code := r.alterOne(kmsg.ConfigResourceTypeBroker, "0", "group.consumer.assignment.interval.ms", kmsg.IncrementalAlterConfigOpSet, &value); code != noError {
			t.Fatalf("set for the broker: code %d", code)
		}
		const want = "1500 group.consumer.assignment.interval.ms=1500(2) group.consumer.assignment.interval.ms=1000(5)"
		if got := r.described(kmsg.ConfigResourceTypeGroupConfig, "g", "consumer.assignment.interval.ms"); got != want {
			t.Errorf("set for the broker: %q, Kafka says %q", got, want)
		}
	})
}
