package sim

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// changeConfigs changes settings of the topic, and reads them back at another broker.
func (t *topicChurnClient) changeConfigs(ctx context.Context) error {
	want := map[string]string{"zonewise.latency": []string{"low", "standard"}[t.round%2], "max.message.bytes": strconv.Itoa(100_000 + t.round)}
	if err := t.setConfigs(ctx, churnTopic, want); err != nil {
		return err
	}
	t.switchBroker()
	return t.verifyConfigs(ctx, churnTopic, want)
}

// setConfigs sets configs of a topic, and retries until the response says that they are set.
func (t *topicChurnClient) setConfigs(ctx context.Context, topic string, set map[string]string) error {
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	for _, name := range slices.Sorted(maps.Keys(set)) {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		value := set[name]
		c.Name, c.Value, c.Op = name, &value, kmsg.IncrementalAlterConfigOpSet
		r.Configs = append(r.Configs, c)
	}
	q.Resources = append(q.Resources, r)
	code, _, err := t.requestUntilFinal(ctx, q, 1, func(r kmsg.Response) int16 { return r.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode })
	if err == nil && code != errNone {
		return t.reportViolation("alter configs of %s: error %d", topic, code)
	}
	return err
}

// verifyConfigs checks that a topic's configs are those that were set last.
func (t *topicChurnClient) verifyConfigs(ctx context.Context, topic string, want map[string]string) error {
	q := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	q.Resources = append(q.Resources, r)
	got := map[string]string{}
	code, _, err := t.requestUntilFinal(ctx, q, 3, func(r kmsg.Response) int16 {
		d := r.(*kmsg.DescribeConfigsResponse).Resources[0]
		for _, c := range d.Configs {
			if c.Value != nil {
				got[c.Name] = *c.Value
			}
		}
		return d.ErrorCode
	})
	if err == nil && code != errNone {
		return t.reportViolation("describe configs of %s: error %d", topic, code)
	}
	for name, value := range want {
		if err == nil && got[name] != value {
			return t.reportViolation("%s of %s is %q at another broker, was set to %q", name, topic, got[name], value)
		}
	}
	if err == nil {
		t.w.countState(configRead, 1)
	}
	return err
}

// moveLanes moves a topic that is being written to from one lane to the other and
// back, and checks each move at another broker.
func (t *topicChurnClient) moveLanes(ctx context.Context, topic string) {
	defer t.closeConn()
	for ctx.Err() == nil {
		t.round++
		t.recoveriesBefore = t.w.recoveryCount()
		want := map[string]string{"zonewise.latency": []string{"low", "standard"}[t.round%2]}
		err := t.setConfigs(ctx, topic, want)
		if err == nil {
			t.w.countState(laneMoved, 1)
			t.switchBroker()
			_ = t.verifyConfigs(ctx, topic, want) // violations are recorded
		}
		select {
		case <-time.After(700*time.Millisecond + time.Duration(t.w.generateNumber("lanes", t.name, t.round)%1_500_000_000)):
		case <-ctx.Done():
		}
	}
}
