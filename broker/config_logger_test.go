package broker

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestConfigResourcesAreListedByType(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("b", 1)
		r.makeTopic("a", 1)
		set := func(kind kmsg.ConfigResourceType, name, key, value string) int16 {
			return r.alterOne(kind, name, key, kmsg.IncrementalAlterConfigOpSet, &value)
		}
		if code := set(kmsg.ConfigResourceTypeGroupConfig, "g", "consumer.session.timeout.ms", "50000"); code != 0 {
			t.Errorf("group config: %d", code)
		}
		if code := set(kmsg.ConfigResourceTypeClientMetrics, "m", "interval.ms", "1000"); code != 0 {
			t.Errorf("client metrics: %d", code)
		}
		if code := set(kmsg.ConfigResourceTypeClientMetrics, "m", "match", "client_id=[a-z"); code != 40 {
			t.Errorf("client metrics with a bad pattern: %d", code)
		}
		list := func(version int16, types ...int8) string {
			q := kmsg.NewPtrListConfigResourcesRequest()
			q.Version, q.ResourceTypes = version, types
			resp := r.roundTrip(q).(*kmsg.ListConfigResourcesResponse)
			out := fmt.Sprint(resp.ErrorCode)
			for _, c := range resp.ConfigResources {
				out += fmt.Sprintf(" %d:%s", c.Type, c.Name)
			}
			return out
		}
		for _, c := range []struct{ got, want string }{
			{list(1), "0 2:a 2:b 4:0 8:0 16:m 32:g"},
			{list(1, 2), "0 2:a 2:b"},
			{list(1, 32, 16), "0 16:m 32:g"},
			{list(1, 3), "35"},
			{list(0), "0 16:m"},
		} {
			if c.got != c.want {
				t.Errorf("listed %q, want %q", c.got, c.want)
			}
		}
	})
}

// alterOne alters one config of one resource and returns its error.
func (r *raw) alterOne(kind kmsg.ConfigResourceType, name, key string, op kmsg.IncrementalAlterConfigOp, value *string) int16 {
	r.t.Helper()
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	q.Version = 1
	q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name,
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Op: op, Value: value}}}}
	return r.roundTrip(q).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode
}

func TestLoggerOfABrokerIsChangedAtThatBroker(t *testing.T) {
	level := new(slog.LevelVar)
	inBubble(t, func(c *Config) { c.LogLevel = level }, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		self := fmt.Sprint(int32(n.id))
		const logger = kmsg.ConfigResourceTypeBrokerLogger
		set, del := kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete
		text := func(s string) *string { return &s }
		for _, c := range []struct {
			broker, name string
			op           kmsg.IncrementalAlterConfigOp
			value        *string
			want         int16
		}{
			{self, "root", set, text("DEBUG"), 0},
			{self, "root", set, text("LOUD"), 40},
			{self, "root", set, nil, 42},
			{self, "other", set, text("DEBUG"), 40},
			{self, "root", del, nil, 42},
			{self, "root", kmsg.IncrementalAlterConfigOpAppend, text("DEBUG"), 42},
			{"99", "root", set, text("DEBUG"), 42},
		} {
			if got := r.alterOne(logger, c.broker, c.name, c.op, c.value); got != c.want {
				t.Errorf("%s of %s: %d, want %d", c.name, c.broker, got, c.want)
			}
		}
		both := kmsg.NewPtrIncrementalAlterConfigsRequest()
		both.Version = 1
		both.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: logger, ResourceName: self,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "root", Op: set, Value: text("ERROR")}, {Name: "other", Op: set, Value: text("INFO")}}}}
		if code := r.roundTrip(both).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode; code != 40 || level.Level() != slog.LevelDebug {
			t.Errorf("one good and one bad: %d, level %v", code, level.Level())
		}
		q := kmsg.NewPtrDescribeConfigsRequest()
		q.Version = 4
		q.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: logger, ResourceName: self}}
		got := r.roundTrip(q).(*kmsg.DescribeConfigsResponse).Resources[0]
		if len(got.Configs) != 1 || *got.Configs[0].Value != "DEBUG" || got.Configs[0].ReadOnly || got.Configs[0].Source != kmsg.ConfigSourceDynamicBrokerLoggerConfig {
			t.Errorf("described: %+v", got)
		}
	})
}
