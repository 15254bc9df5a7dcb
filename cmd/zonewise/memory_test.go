package main

import (
	"log/slog"
	"runtime/debug"
	"testing"

	"github.com/zonewise/zonewise/internal/node"
)

func TestMemoryLimitFollowsFromCachesAndWhatLives(t *testing.T) {
	small := node.Config{WALBytes: 64 << 20, TailBytes: 64 << 20, BlockBytes: 64 << 20}
	large := small
	large.TailBytes += 1 << 30
	if more := large.CacheBytes() - small.CacheBytes(); more != 1<<30 {
		t.Errorf("a GiB more of cache is %d bytes more, want a GiB", more)
	}
	unset := node.Config{}
	set := node.Config{WALBytes: 256 << 20, TailBytes: 256 << 20, BlockBytes: 256 << 20}
	if unset.CacheBytes() != set.CacheBytes() {
		t.Errorf("defaults take %d bytes, want what they are when they are given: %d", unset.CacheBytes(), set.CacheBytes())
	}
	for _, c := range []struct{ base, live, container, want int64 }{
		{3000, 0, 0, 3000},
		{3000, 2000, 0, 3000},
		{3000, 4000, 0, 6000},
		{3000, 0, 64000, 3000},
		{3000, 0, 2000, 1800},
		{3000, 4000, 5000, 4500},
	} {
		if got := memoryLimit(c.base, c.live, c.container); got != c.want {
			t.Errorf("caches and room of %d, %d alive, in a container of %d: limit %d, want %d", c.base, c.live, c.container, got, c.want)
		}
	}
}

// What the environment says holds, and what was set is undone.
func TestMemoryLimitIsUndone(t *testing.T) {
	limit := func() int64 { return debug.SetMemoryLimit(-1) }
	was := limit()
	o := &tuneOptions{walMemory: 64 << 20, tailMemory: 64 << 20, blockMemory: 64 << 20}
	for _, c := range []struct {
		said string
		sets bool
	}{{"", true}, {"1GiB", false}} {
		t.Run(c.said, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", c.said)
			undo := limitMemory(slog.New(slog.DiscardHandler), o, 1)
			if changed := limit() != was; changed != c.sets {
				t.Errorf("limit %d, before %d: want it changed: %v", limit(), was, c.sets)
			}
			undo()
			if limit() != was {
				t.Errorf("afterwards the limit is %d, want %d again", limit(), was)
			}
		})
	}
}
