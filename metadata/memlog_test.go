package metadata_test

import (
	"testing"
	"testing/synctest"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/metadatatest"
)

// The in-memory log has the guarantees of the log over etcd.
func TestMemLogIsALog(t *testing.T) {
	for _, c := range metadatatest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := metadata.NewMemLog()
				c.Run(t, func(*testing.T, string) (metadata.Log, metadata.LogAdmin) { return log, log })
			})
		})
	}
}
