//go:build differential

package differential

import (
	"testing"

	"github.com/zonewise/zonewise/internal/testenv/devserver"
	"github.com/zonewise/zonewise/internal/testenv/kafkaoracle"
)

// startKafka runs one broker that is as zonewise is: the same rack and broker
// id, no wait for further members of a group, and what was answered about a
// group is written: by default its coordinator gathers writes for 5 ms, and a
// client that is quick sees the group as it was.
func startKafka(t *testing.T) string {
	t.Helper()
	k := kafkaoracle.Start(t, kafkaoracle.Options{FromZero: true, Properties: map[string]string{
		"broker.rack": "dev-a", "group.initial.rebalance.delay.ms": "0", "group.coordinator.append.linger.ms": "0",
	}})
	return k.Bootstrap[0]
}

// startZonewise runs one broker and returns its address.
func startZonewise(t *testing.T) string {
	t.Helper()
	return devserver.Start(t, "--zones", "1", "--group-initial-rebalance-delay", "0s").Bootstrap(0)
}
