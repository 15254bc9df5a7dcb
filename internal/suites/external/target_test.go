//go:build external

package external

import (
	"os"
	"testing"

	"github.com/zonewise/zonewise/internal/testenv/devserver"
	"github.com/zonewise/zonewise/internal/testenv/kafkaoracle"
)

// target is what a suite runs against.
type target struct {
	name      string
	bootstrap []string // one address per broker
}

// open starts what SUITE_TARGET names.
func open(t *testing.T, flags ...string) target {
	t.Helper()
	if os.Getenv("SUITE_TARGET") == "kafka" {
		k := kafkaoracle.Start(t, kafkaoracle.Options{Brokers: 3, Properties: map[string]string{
			"num.partitions": "4", "group.consumer.min.heartbeat.interval.ms": "1000", "group.consumer.heartbeat.interval.ms": "1000"}})
		return target{"Apache Kafka 4.1.1", k.Bootstrap}
	}
	return served(devserver.Start(t, flags...))
}

func served(d *devserver.Dev) target {
	out := target{name: "zonewise"}
	for z := range devserver.Zones {
		out.bootstrap = append(out.bootstrap, d.Bootstrap(z))
	}
	return out
}
