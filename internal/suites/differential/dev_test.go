//go:build differential

package differential

import (
	"testing"

	"github.com/zonewise/zonewise/internal/testenv/devserver"
	"github.com/zonewise/zonewise/internal/testenv/kafkaoracle"
)

// startKafka runs one broker that is as zonewise is: the same rack and broker
// id, and no wait for further members of a group.
func startKafka(t *testing.T) string {
	t.Helper()
	k := kafkaoracle.Start(t, kafkaoracle.Options{FromZero: true, Properties: map[string]string{
		"broker.rack": "dev-a", "group.initial.rebalance.delay.ms": "0",
	}})
	return k.Bootstrap[0]
}

// startZonewise runs one broker and returns its address.
func startZonewise(t *testing.T) string {
	t.Helper()
	return devserver.Start(t, "--zones", "1", "--group-initial-rebalance-delay", "0s").Bootstrap(0)
}
