package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/internal/cli"
)

func TestSettingsOfGroupsReachTheCoordinator(t *testing.T) {
	o := groupOptions{minSession: 100 * time.Millisecond, maxSession: time.Minute, consumerSession: 30 * time.Second, heartbeat: 500 * time.Millisecond,
		size: 10, consumers: 20, offsetsRetention: time.Hour}
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	want := groups.Config{MinSessionTimeout: 100 * time.Millisecond, MaxSessionTimeout: time.Minute, ConsumerSessionTimeout: 30 * time.Second,
		ConsumerHeartbeatInterval: 500 * time.Millisecond, MaxGroupSize: 10, MaxConsumers: 20, OffsetRetention: time.Hour}
	if got := o.toConfig(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := (&groupOptions{}).validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

func TestSettingsOfGroupsThatCannotWorkAreRefused(t *testing.T) {
	for flag, value := range map[string]string{"group-min-session-timeout": "31m", "group-max-session-timeout": "25h", "group-consumer-heartbeat-interval": "45s",
		"group-consumer-session-timeout": "2h", "group-max-size": "5001", "group-consumer-max-size": "-1", "offsets-retention": "1s", "offsets-topic-partitions": "10001"} {
		code, _, stderr := zonewise(t, "broker", "--zone", "a", "--etcd", "127.0.0.1:1", "--bucket", t.TempDir(), "--advertise", "127.0.0.1", "--"+flag, value)
		if code != cli.ExitUsage || !strings.Contains(stderr, "--"+flag+" ") {
			t.Errorf("--%s %s: exit %d, %s", flag, value, code, stderr)
		}
	}
}
