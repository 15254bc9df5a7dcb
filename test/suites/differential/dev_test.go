//go:build differential

package differential

import (
	"testing"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

// startKafka runs one broker with the same rack, broker id and features as zonewise,
// and with the settings of zonewise's command line in its file. It has no delays for
// further members of a group, for a new assignment (a second by default, KIP-1263),
// or for batching group writes (5 ms, in which a fast client sees the old group).
func startKafka(t *testing.T) string {
	t.Helper()
	k := kafkaoracle.Start(t, kafkaoracle.Options{FromZero: true, Properties: map[string]string{
		"broker.rack": "dev-a", "group.initial.rebalance.delay.ms": "0", "group.coordinator.append.linger.ms": "0",
		"group.consumer.assignment.interval.ms": "0",
	}, Features: map[string]int{"eligible.leader.replicas.version": 0, "share.version": 0, "streams.version": 0}})
	return k.Bootstrap[0]
}

// startZonewise runs one broker and returns its address.
func startZonewise(t *testing.T) string {
	t.Helper()
	return devserver.Start(t, "--zones", "1", "--group-initial-rebalance-delay", "0s", "--check-replication-factor").Bootstrap(0)
}
