package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What appending makes of a value, and what an error repeats of a request, is
// short enough for versions whose texts have 32,767 bytes at most.
func TestWhatIsToldOfConfigsFitsOldVersions(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		code := noError
		for i := 0; i < 20 && code == noError; i++ {
			var items []string
			for k := range 300 {
				items = append(items, fmt.Sprintf("%d:%d", 300*i+k, 1))
			}
			value := strings.Join(items, ",")
			code = r.alterOne(kmsg.ConfigResourceTypeTopic, "t", "leader.replication.throttled.replicas", kmsg.IncrementalAlterConfigOpAppend, &value)
		}
		if code != kerr.InvalidConfig.Code {
			t.Errorf("a list that grows: %d", code)
		}
		q := kmsg.NewPtrDescribeConfigsRequest()
		q.Version = 1
		q.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", ConfigNames: []string{"leader.replication.throttled.replicas"}},
			{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: strings.Repeat("x", 32_000)}}
		got := r.roundTrip(q).(*kmsg.DescribeConfigsResponse).Resources
		if len(got) != 2 || len(got[0].Configs) != 1 || len(*got[0].Configs[0].Value) > 1<<15-1 || got[1].ErrorCode == noError || len(*got[1].ErrorMessage) > maxErrorTextBytes+3 {
			t.Errorf("described: %d resources, %d configs, %d bytes of value, error %d with %d bytes", len(got), len(got[0].Configs), len(*got[0].Configs[0].Value), got[1].ErrorCode, len(*got[1].ErrorMessage))
		}
		huge := strings.Repeat("x", 32_700)
		alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
		alter.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t",
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "cleanup.policy", Value: &huge}}}}
		if out := r.roundTrip(alter).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]; out.ErrorCode != kerr.InvalidConfig.Code || out.ResourceName != "t" || len(*out.ErrorMessage) > maxErrorTextBytes+3 {
			t.Errorf("a huge value: %d of %q", out.ErrorCode, out.ResourceName)
		}
	})
}
