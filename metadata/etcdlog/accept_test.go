package etcdlog_test

import (
	"testing"
	"testing/synctest"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
	"github.com/zonewise/zonewise/metadata/metadatatest"
)

func TestLogOverTheFakeKeepsThePromisesOfTheDoors(t *testing.T) {
	for _, c := range metadatatest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := cluster(t, etcdfake.Config{Seed: 7})
				c.Run(t, func(t *testing.T, name string) (metadata.Log, metadata.LogAdmin) {
					n := open(t, store, name)
					return n.Log, n.Log
				})
			})
		})
	}
}
