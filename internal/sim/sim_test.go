package sim

import (
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
)

func runSeed(t *testing.T, seed uint64, opt Options) (res Result) {
	t.Helper()
	if os.Getenv("ZONEWISE_SIM_LOG") != "" {
		opt.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	synctest.Test(t, func(t *testing.T) { res = Run(t.Context(), seed, opt) })
	return res
}

func TestQuiet(t *testing.T) {
	res := runSeed(t, 1, Options{Quiet: true})
	t.Logf("%d batches, %d faults, %v, digest %s, %v", res.Batches, res.Faults, res.Virtual, res.Digest, res.Coverage)
	for _, w := range res.Wrong {
		t.Error(w)
	}
}
