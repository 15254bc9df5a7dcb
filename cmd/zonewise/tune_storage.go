package main

import (
	"time"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/metadata"
)

// storageOptions are how the bucket is kept.
type storageOptions struct {
	retentionCheck, deleteGrace, baseInterval time.Duration
}

func (o *storageOptions) declareStorage(s *cli.Set) {
	t := metadata.DefaultMaintenanceTimes()
	s.Duration(&o.retentionCheck, "retention-check-interval", t.RetentionCheck, "how long records stay at the least after they were written, whatever their timestamps and retention.ms")
	s.Duration(&o.deleteGrace, "delete-grace", t.Grace, "how long an object stays in the bucket after its last record was deleted: longer than the longest read of it")
	s.Duration(&o.baseInterval, "recovery-base-interval", t.Base, "how often a checkpoint is read back; two that were are kept, and nothing is deleted that a recovery from the older one needs")
}

func (o *storageOptions) validate() error {
	switch {
	case o.retentionCheck < 0 || o.retentionCheck > 24*time.Hour:
		return cli.Usagef("--retention-check-interval %v: want 0s to 24h", o.retentionCheck)
	case o.deleteGrace < time.Second || o.deleteGrace > 30*24*time.Hour:
		return cli.Usagef("--delete-grace %v: want 1s to 720h", o.deleteGrace)
	case o.baseInterval < time.Second || o.baseInterval > time.Hour:
		return cli.Usagef("--recovery-base-interval %v: want 1s to 1h", o.baseInterval)
	}
	return nil
}

func (o *storageOptions) apply(c *node.Config) {
	c.Times.RetentionCheck, c.Times.Grace, c.Times.Base = o.retentionCheck, o.deleteGrace, o.baseInterval
	// A short grace is for tests and small clusters: the rest keeps up with it.
	c.Times.Garbage = min(c.Times.Garbage, o.deleteGrace)
	c.Times.Checkpoint = min(c.Times.Checkpoint, o.baseInterval)
}
