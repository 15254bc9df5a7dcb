//go:build external

package external

import (
	"maps"
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
	return openWith(t, map[string]string{"num.partitions": "4"}, flags...)
}

// openWith is open with properties for Kafka, and flags for zonewise.
func openWith(t *testing.T, properties map[string]string, flags ...string) target {
	t.Helper()
	if os.Getenv("SUITE_TARGET") != "kafka" {
		return served(devserver.Start(t, flags...))
	}
	all := map[string]string{"group.consumer.min.heartbeat.interval.ms": "1000", "group.consumer.heartbeat.interval.ms": "1000"}
	maps.Copy(all, properties)
	k := kafkaoracle.Start(t, kafkaoracle.Options{Brokers: 3, Properties: all})
	return target{"Apache Kafka " + kafkaoracle.Version, k.Bootstrap}
}

func served(d *devserver.Dev) target {
	out := target{name: "zonewise"}
	for z := range devserver.Zones {
		out.bootstrap = append(out.bootstrap, d.Bootstrap(z))
	}
	return out
}
