//go:build external

package external

import (
	"maps"
	"os"
	"testing"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

// target is the cluster that a suite runs against.
type target struct {
	name      string
	bootstrap []string // one address per broker
}

// openTarget starts the cluster that SUITE_TARGET names.
func openTarget(t *testing.T, flags ...string) target {
	t.Helper()
	return openWith(t, map[string]string{"num.partitions": "4"}, flags...)
}

// openWith is openTarget with properties for Kafka, and flags for zonewise.
func openWith(t *testing.T, properties map[string]string, flags ...string) target {
	t.Helper()
	all := map[string]string{"group.consumer.min.heartbeat.interval.ms": "1000", "group.consumer.heartbeat.interval.ms": "1000"}
	maps.Copy(all, properties)
	return openWithKafka(t, kafkaoracle.Options{Brokers: 3, Properties: all}, flags...)
}

// openWithKafka is openTarget with options for Kafka.
func openWithKafka(t *testing.T, kafka kafkaoracle.Options, flags ...string) target {
	t.Helper()
	if os.Getenv("SUITE_TARGET") != "kafka" {
		return devTarget(devserver.Start(t, flags...))
	}
	return target{"Apache Kafka " + kafkaoracle.Version, kafkaoracle.Start(t, kafka).Bootstrap}
}

func devTarget(d *devserver.Dev) target {
	out := target{name: "zonewise"}
	for z := range devserver.Zones {
		out.bootstrap = append(out.bootstrap, d.Bootstrap(z))
	}
	return out
}
