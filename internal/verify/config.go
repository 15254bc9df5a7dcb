package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Bucket is what is read of the bucket, below "<cluster>/": see bucket.Bucket.
type Bucket interface {
	Get(ctx context.Context, name string, off, length int64) ([]byte, error)
	List(ctx context.Context, prefix, after string, limit int) ([]bucket.Info, error)
}

// Log is what is read of the log: see metadata.Log and metadata.LogAdmin.
type Log interface {
	Start(ctx context.Context) (metadata.StartPoint, error)
	Sessions(ctx context.Context) ([]metadata.LiveSession, metadata.Revision, error)
}

// Config is what Run needs.
type Config struct {
	Bucket Bucket
	Log    Log
	// State returns a snapshot that has every entry committed before the call:
	// ReplicaState makes one.
	State func(context.Context) (*metadata.State, error)
	// Deep reads every object that the state names, not only its name and size.
	Deep bool
	// Concurrency is how many objects are read at a time; default 8.
	Concurrency int
	// BytesPerSecond bounds what is read of objects; 0: as fast as it comes.
	BytesPerSecond int64
	// UploadTimeout is how long one upload can take, with its retries; default 30 s.
	// What nobody names may belong to one for twice that time.
	UploadTimeout time.Duration
	// LeftoverGrace is metadata.LeftoverGrace, or less in tests.
	LeftoverGrace metadata.UnixMilli
	// MaxFindings is how many findings a report lists, the worst first; default
	// 10,000. All are counted.
	MaxFindings int
	// Progress, where not nil, is called every few seconds, and once at the end.
	Progress func(Progress)
}

// DefaultConcurrency is how many objects are read at a time.
const DefaultConcurrency = 8

func (c *Config) setDefaults() error {
	if c.Bucket == nil || c.Log == nil || c.State == nil {
		return errors.New("BUG: verify without a bucket, a log or a state")
	}
	if c.Concurrency < 0 || c.BytesPerSecond < 0 || c.UploadTimeout < 0 || c.LeftoverGrace < 0 || c.MaxFindings < 0 {
		return fmt.Errorf("verify %d objects at a time, %d bytes per second, upload timeout %v, grace %d ms, %d findings: want none below zero",
			c.Concurrency, c.BytesPerSecond, c.UploadTimeout, c.LeftoverGrace, c.MaxFindings)
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.UploadTimeout == 0 {
		c.UploadTimeout = 30 * time.Second
	}
	if c.LeftoverGrace == 0 {
		c.LeftoverGrace = metadata.LeftoverGrace
	}
	if c.MaxFindings == 0 {
		c.MaxFindings = 10_000
	}
	return nil
}

// inFlightTime is the age below which an object may belong to an upload whose entry
// is still to come.
func (c *Config) inFlightTime() time.Duration { return 2 * c.UploadTimeout }

// maxBarriers is how often a barrier is tried, five seconds each: an etcd that
// elects a leader must not waste a walk of hours.
const maxBarriers = 12

// ReplicaState returns a Config.State that reads a replica which runs.
func ReplicaState(r *metadata.Replica) func(context.Context) (*metadata.State, error) {
	return func(ctx context.Context) (*metadata.State, error) {
		var err error
		for range maxBarriers {
			if err = r.Barrier(ctx); err == nil {
				return r.Snapshot(), nil
			}
			if ctx.Err() != nil {
				break
			}
		}
		return nil, err
	}
}
