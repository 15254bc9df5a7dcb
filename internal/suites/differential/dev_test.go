//go:build differential

package differential

import (
	"testing"

	"github.com/zonewise/zonewise/internal/testenv/devserver"
	"github.com/zonewise/zonewise/internal/testenv/kafkaoracle"
)

// startKafka runs one broker that is as zonewise is: the same rack and broker
// id, and the features of which something is served. What zonewise's command
// line settles is in its file, too. It does not wait: neither for further
// members of a group, nor with a new assignment (a second by default, KIP-1263),
// nor to gather writes about groups (5 ms), in which a client that is quick sees
// the group as it was.
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
