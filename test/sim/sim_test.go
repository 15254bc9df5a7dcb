package sim

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func runSeed(t *testing.T, seed uint64, opt Options) (res Result) {
	t.Helper()
	opt.Entries = os.Getenv("ZONEWISE_SIM_TRACES") != ""
	if os.Getenv("ZONEWISE_SIM_LOG") != "" {
		opt.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	synctest.Test(t, func(t *testing.T) { res = Run(t.Context(), seed, opt) })
	return res
}

// firstDifference shows where two traces differ first.
func firstDifference(a, b Result) string {
	x, y := a.sortedTrace(), b.sortedTrace()
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return strings.Join(x[max(0, i-5):min(len(x), i+8)], "\n") + "\n--- and ---\n" + strings.Join(y[max(0, i-5):min(len(y), i+8)], "\n")
		}
	}
	return fmt.Sprintf("%d and %d lines", len(x), len(y))
}

// A seed that runs twice does everything at the same instants with the same bytes.
func TestASeedReplays(t *testing.T) {
	t.Run("quiet", func(t *testing.T) { t.Parallel(); checkReplay(t, 7, Options{Quiet: true}) })
	for _, seed := range seedsToReplay(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { t.Parallel(); checkReplay(t, seed, Options{}) })
	}
}

// seedsToReplay returns the seeds that run twice: some with a restored etcd, a lost
// one, a zone that is added later; or the number that ZONEWISE_SIM_REPLAY sets.
func seedsToReplay(t *testing.T) []uint64 {
	n := envNumber(t, "ZONEWISE_SIM_REPLAY", 0)
	if n == 0 {
		return []uint64{2, 3, 4, 5, 6}
	}
	var all []uint64
	from := envNumber(t, "ZONEWISE_SIM_FROM", 0)
	for i := range n {
		all = append(all, uint64(from+i))
	}
	return all
}

func writeTrace(t *testing.T, name string, r Result) {
	if err := os.WriteFile(name, []byte(strings.Join(r.sortedTrace(), "\n")+"\n"), 0o644); err != nil {
		t.Error(err)
	}
}

func checkReplay(t *testing.T, seed uint64, opt Options) {
	a, b := runSeed(t, seed, opt), runSeed(t, seed, opt)
	if a.Digest == b.Digest {
		return
	}
	if dir := os.Getenv("ZONEWISE_SIM_TRACES"); dir != "" { // for diff(1)
		for i, r := range []Result{a, b} {
			writeTrace(t, fmt.Sprintf("%s/%d.%v.%d", dir, seed, opt.Quiet, i), r)
		}
	}
	t.Errorf("quiet=%v: two runs of seed %d differ:\n%s", opt.Quiet, seed, firstDifference(a, b))
}

// Every seed keeps the promises, and together the seeds reach every interesting
// state. ZONEWISE_SIM_FROM and ZONEWISE_SIM_SEEDS select them (default 0 to 39);
// ZONEWISE_SIM_OUT names a file for one line per seed.
func TestSeeds(t *testing.T) {
	from, count := envNumber(t, "ZONEWISE_SIM_FROM", 0), envNumber(t, "ZONEWISE_SIM_SEEDS", 40)
	var mu sync.Mutex // guards what follows
	sum, batches := newCoverage(), 0
	var failed atomic.Bool
	t.Run("seed", func(t *testing.T) {
		for seed := from; seed < from+count; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				if failed.Load() && os.Getenv("ZONEWISE_SIM_FAILFAST") != "" {
					return // mutants need only the verdict, not the place
				}
				res := runSeed(t, uint64(seed), Options{})
				checkResult(t, res)
				if t.Failed() {
					failed.Store(true)
				}
				if dir := os.Getenv("ZONEWISE_SIM_TRACES"); dir != "" {
					writeTrace(t, fmt.Sprintf("%s/%d", dir, seed), res)
				}
				mu.Lock()
				defer mu.Unlock()
				sum.addCounts(res.Coverage)
				batches += res.Batches
				appendResult(t, res)
			})
		}
	})
	// Forty seeds may miss a rare state by chance, a different one after every
	// change of the code: then up to forty more seeds run.
	for seed := from + count; count >= 40 && len(sum.Missing()) > 0 && seed < from+2*count; seed++ {
		t.Run(fmt.Sprintf("further/%d", seed), func(t *testing.T) {
			res := runSeed(t, uint64(seed), Options{})
			checkResult(t, res)
			sum.addCounts(res.Coverage)
		})
	}
	t.Logf("%d batches; %v", batches, sum)
	if missing := sum.Missing(); count >= 40 && len(missing) > 0 {
		t.Errorf("never reached: %q", missing)
	}
}

// Minimum numbers of batches and faults of each seed.
const (
	leastBatches = 2000
	leastFaults  = 5
)

func checkResult(t *testing.T, res Result) {
	t.Logf("%d batches in %v, digest %s, faults %q", res.Batches, res.Virtual, res.Digest, res.What)
	for _, w := range res.Wrong {
		t.Error(w)
	}
	if res.Batches < leastBatches || res.Faults < leastFaults {
		t.Errorf("%d batches and %d faults, want %d and %d", res.Batches, res.Faults, leastBatches, leastFaults)
	}
	if t.Failed() {
		t.Logf("again: ZONEWISE_SIM_FROM=%d ZONEWISE_SIM_SEEDS=1 go test ./test/sim -run TestSeeds -v", res.Seed)
	}
}

// appendResult appends a seed's result for cmd/manyseeds.
func appendResult(t *testing.T, res Result) {
	name := os.Getenv("ZONEWISE_SIM_OUT")
	if name == "" {
		return
	}
	line, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// envNumber reads a number from the environment.
func envNumber(t *testing.T, name string, without int) int {
	s := os.Getenv(name)
	if s == "" {
		return without
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		t.Fatalf("%s=%s: want a number", name, s)
	}
	return n
}

// The control run: without faults, no client may be delayed or get an error.
func TestQuietSeed(t *testing.T) {
	res := runSeed(t, 1, Options{Quiet: true})
	if len(res.Wrong) > 0 || res.Batches < leastBatches {
		t.Errorf("%d batches; %q", res.Batches, res.Wrong)
	}
}
