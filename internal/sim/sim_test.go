package sim

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
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

// firstDifference shows where two traces part.
func firstDifference(a, b Result) string {
	x, y := a.sorted(), b.sorted()
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return strings.Join(x[max(0, i-5):min(len(x), i+8)], "\n") + "\n--- and ---\n" + strings.Join(y[max(0, i-5):min(len(y), i+8)], "\n")
		}
	}
	return fmt.Sprintf("%d and %d lines", len(x), len(y))
}

// A seed is a history: run twice, everything happens at the same instants with
// the same bytes.
func TestASeedReplays(t *testing.T) {
	for _, opt := range []Options{{Quiet: true}, {}} {
		a, b := runSeed(t, 7, opt), runSeed(t, 7, opt)
		if a.Digest != b.Digest {
			if dir := os.Getenv("ZONEWISE_SIM_TRACES"); dir != "" {
				os.WriteFile(dir+"/a", []byte(strings.Join(a.sorted(), "\n")), 0o644)
				os.WriteFile(dir+"/b", []byte(strings.Join(b.sorted(), "\n")), 0o644)
			}
			t.Errorf("quiet=%v: %s and %s:\n%s", opt.Quiet, a.Digest, b.Digest, firstDifference(a, b))
		}
	}
}

func TestSeeds(t *testing.T) {
	for seed := range uint64(seeds(t)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			res := runSeed(t, seed, Options{})
			t.Logf("%d batches, %v, %v, digest %s, %v", res.Batches, res.What, res.Virtual, res.Digest, res.Coverage)
			for _, w := range res.Wrong {
				t.Error(w)
			}
		})
	}
}

func seeds(t *testing.T) int {
	s := os.Getenv("ZONEWISE_SIM_SEEDS")
	if s == "" {
		return 40
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("ZONEWISE_SIM_SEEDS=%s: want a number of seeds", s)
	}
	return n
}
