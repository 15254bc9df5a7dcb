package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// brokenLog is a log of which, from some moment on, everything that is read is
// damaged, and which belongs to a newer incarnation besides.
type brokenLog struct {
	*metadata.MemLog
	broken atomic.Bool
}

func (l *brokenLog) Start(ctx context.Context) (metadata.StartPoint, error) {
	if l.broken.Load() {
		return metadata.StartPoint{}, fmt.Errorf("start: %w", metadata.ErrNewerIncarnation)
	}
	return l.MemLog.Start(ctx)
}

func (l *brokenLog) Follow(ctx context.Context, from metadata.StartPoint, deliver func([]metadata.CommittedEntry, metadata.Revision, bool) error) error {
	return l.MemLog.Follow(ctx, from, func(batch []metadata.CommittedEntry, upTo metadata.Revision, caughtUp bool) error {
		if l.broken.Load() {
			return fmt.Errorf("follow: %w", metadata.ErrCorrupt)
		}
		return deliver(batch, upTo, caughtUp)
	})
}

// Promise 11: what a broker must not survive is reported once to who runs it,
// though several parts of the broker find it.
func TestFatalIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, time.Millisecond)
		defer c.close()
		log := &brokenLog{MemLog: c.log}
		var calls atomic.Int32
		c.config = func(cfg *Config) {
			cfg.Log = log
			cfg.Fatal = func(err error) {
				calls.Add(1)
				if !errors.Is(err, metadata.ErrCorrupt) && !errors.Is(err, metadata.ErrNewerIncarnation) {
					t.Errorf("fatal: %v", err)
				}
			}
		}
		c.start("a", "a")
		time.Sleep(time.Minute)
		if n := calls.Load(); n != 0 {
			t.Fatalf("%d calls of a broker that is well", n)
		}
		log.broken.Store(true)
		time.Sleep(time.Minute)
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls, want one", n)
		}
	})
}
