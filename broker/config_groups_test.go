package broker

import (
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
		for _, k := range n.server.brokerConfigs() {
			said[k.name] = k.fallback
		}
		for name, want := range map[string]string{"group.consumer.heartbeat.interval.ms": "500", "group.consumer.min.heartbeat.interval.ms": "500",
			"group.consumer.max.heartbeat.interval.ms": "15000", "group.consumer.session.timeout.ms": "45000", "group.consumer.max.size": "7",
			"group.min.session.timeout.ms": "1000", "group.max.session.timeout.ms": "1800000", "group.initial.rebalance.delay.ms": "0", "offsets.retention.minutes": "60"} {
			if said[name] != want {
				t.Errorf("%s is said to be %s, want %s", name, said[name], want)
			}
		}
		values, code, _ := n.server.storedValues("g", 0, kmsg.ConfigSourceGroupConfig, groupConfigs(told))
		if code != errNone || *values[0].value != "500" {
			t.Errorf("a group's own: code %d, %+v", code, values[0])
		}
		if _, problem := values[0].key.check("500"); problem != "" {
			t.Errorf("a group cannot ask for the broker's default: %s", problem)
		}
	})
}

// Kafka names the default beside a group's config only while none is set.
func TestAGroupsOwnConfigHasNoSynonymButItself(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		q := kmsg.NewPtrIncrementalAlterConfigsRequest()
		q.Version = 1
		res := kmsg.NewIncrementalAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeGroupConfig, "g"
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = "consumer.session.timeout.ms", kmsg.StringPtr("50000")
		res.Configs = append(res.Configs, c)
		q.Resources = append(q.Resources, res)
		if code := r.ask(q).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode; code != errNone {
			t.Fatalf("set: code %d", code)
		}
		d := kmsg.NewPtrDescribeConfigsRequest()
		d.Version, d.IncludeSynonyms = 4, true
		about := kmsg.NewDescribeConfigsRequestResource()
		about.ResourceType, about.ResourceName = kmsg.ConfigResourceTypeGroupConfig, "g"
		d.Resources = append(d.Resources, about)
		for _, got := range r.ask(d).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
			want := kmsg.ConfigSourceDefaultConfig
			if got.Name == "consumer.session.timeout.ms" {
				want = kmsg.ConfigSourceGroupConfig
			}
			if len(got.ConfigSynonyms) != 1 || got.ConfigSynonyms[0].Source != want || got.Source != want {
				t.Errorf("%s: %+v", got.Name, got)
			}
		}
	})
}
