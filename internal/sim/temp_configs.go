package sim

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// configure changes settings of the topic, and reads them back at another broker.
func (t *temper) configure(ctx context.Context) error {
	want := map[string]string{"zonewise.latency": []string{"low", "standard"}[t.turn%2], "max.message.bytes": strconv.Itoa(100_000 + t.turn)}
	if err := t.setConfigs(ctx, tempTopic, want); err != nil {
		return err
	}
	t.elsewhere()
	return t.seesConfigs(ctx, tempTopic, want)
}

// setConfigs sets configs of a topic, until it is told that they are.
func (t *temper) setConfigs(ctx context.Context, topic string, set map[string]string) error {
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
	code, _, err := t.until(ctx, q, 1, func(r kmsg.Response) int16 { return r.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode })
	if err == nil && code != errNone {
		return t.wrong("alter configs of %s: error %d", topic, code)
	}
	return err
}

// seesConfigs reads a topic's configs, which must be those that were set last.
func (t *temper) seesConfigs(ctx context.Context, topic string, want map[string]string) error {
	q := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	q.Resources = append(q.Resources, r)
	got := map[string]string{}
	code, _, err := t.until(ctx, q, 3, func(r kmsg.Response) int16 {
		d := r.(*kmsg.DescribeConfigsResponse).Resources[0]
		for _, c := range d.Configs {
			if c.Value != nil {
				got[c.Name] = *c.Value
			}
		}
		return d.ErrorCode
	})
	if err == nil && code != errNone {
		return t.wrong("describe configs of %s: error %d", topic, code)
	}
	for name, value := range want {
		if err == nil && got[name] != value {
			return t.wrong("%s of %s is %q at another broker, was set to %q", name, topic, got[name], value)
		}
	}
	if err == nil {
		t.w.count(configRead, 1)
	}
	return err
}

// moveLanes moves a topic that is written to all the while from one lane to the other
// and back, and reads each time at another broker that it has.
func (t *temper) moveLanes(ctx context.Context, topic string) {
	defer t.drop()
	for ctx.Err() == nil {
		t.turn++
		t.seen = t.w.recoveries()
		want := map[string]string{"zonewise.latency": []string{"low", "standard"}[t.turn%2]}
		err := t.setConfigs(ctx, topic, want)
		if err == nil {
			t.w.count(laneMoved, 1)
			t.elsewhere()
			_ = t.seesConfigs(ctx, topic, want) // what is wrong is noted
		}
		select {
		case <-time.After(700*time.Millisecond + time.Duration(t.w.draw("lanes", t.name, t.turn)%1_500_000_000)):
		case <-ctx.Done():
		}
	}
}
