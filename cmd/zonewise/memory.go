package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/node"
)

const (
	// reserveBytes is what a process needs in addition to full caches:
	// state, requests and answers under way, connections, and garbage.
	reserveBytes = 256 << 20
	// memoryInterval is how often the limit is updated.
	memoryInterval = time.Second
)

// memoryLimit is the memory limit of the Go runtime. base is the size of caches
// and unacknowledged batches, plus reserveBytes. A live heap above that,
// because budgets for requests and answers are in use or the cluster's state is
// large, keeps half of its size to grow: with a limit close to the live heap
// the runtime would collect without a pause. container is the memory of the
// process's cgroup, 0 where it has no limit.
func memoryLimit(base, live, container int64) int64 {
	limit := max(base, live+live/2)
	if most := container / 10 * 9; container > 0 && limit > most {
		return most
	}
	return limit
}

// limitMemory maintains the Go runtime's memory limit for that number of nodes
// of one configuration in this process. GOMEMLIMIT has precedence. The caller
// calls undo at the end.
func limitMemory(logger *slog.Logger, o *tuneOptions, nodes int) (undo func()) {
	cfg := node.Config{WALBytes: o.walMemory, TailBytes: o.tailMemory, BlockBytes: o.blockMemory}
	base, most := cfg.CacheBytes()*int64(nodes)+reserveBytes, cfg.MemoryBytes()*int64(nodes)+reserveBytes
	container := int64(0)
	if n, err := memlimit.FromCgroup(); err == nil {
		container = int64(min(n, 1<<62))
	}
	if container > 0 && container < most {
		logger.Warn("the container has less memory than caches and budgets may take: it may be killed when all are full", "container", cli.FormatBytes(container),
			"caches_and_budgets", cli.FormatBytes(most), "remedy", "give it more, or less to --wal-memory, --tail-memory and --block-memory")
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	logger.Info("Go memory limit set", "limit", cli.FormatBytes(memoryLimit(base, 0, container)), "caches_and_budgets_at_most", cli.FormatBytes(most))
	before := debug.SetMemoryLimit(memoryLimit(base, liveHeap(), container))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(memoryInterval); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				debug.SetMemoryLimit(memoryLimit(base, liveHeap(), container))
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
		debug.SetMemoryLimit(before)
	}
}

// liveHeap is how many bytes the last collection found alive.
func liveHeap() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
