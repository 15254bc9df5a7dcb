// Command manyseeds runs many simulation seeds and writes the result into a report.
// It can be stopped and resumes where it was. `make sim`.
//
//	go test -c ./test/sim -> runs the binary, a portion of seeds at a time
//	  -> one line per seed in the state file -> docs/correctness.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	var c config
	flag.IntVar(&c.seeds, "seeds", 5000, "how many seeds, from 0 on")
	flag.DurationVar(&c.timeLimit, "within", 0, "begin no more seeds after so long; without it, run them all")
	flag.IntVar(&c.minSeeds, "least", 0, "how many seeds must have been run when -within ends, or the run has failed")
	flag.StringVar(&c.state, "state", "data/sim.state", "file with one line per seed that was run")
	flag.StringVar(&c.report, "report", "", "file that the result is written to")
	flag.BoolFunc("fresh", "discard the state file", func(string) error { c.mode = startFresh; return nil })
	flag.BoolFunc("carry", "repeat the seeds that failed at an earlier commit, and not those that passed there; the report states it", func(string) error { c.mode = carryOver; return nil })
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := c.runSeeds(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "manyseeds:", err)
		os.Exit(1)
	}
}

// portionSeeds is the number of seeds in one run of the test binary: the work that
// is lost at most when it is stopped.
const portionSeeds = 20

type config struct {
	seeds, minSeeds int
	timeLimit       time.Duration
	state, report   string
	mode            openMode
}

func (c *config) runSeeds(ctx context.Context) error {
	commit, err := describeCommit(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.state), 0o755); err != nil {
		return err
	}
	s, err := openState(c.state, commit, c.mode)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "manyseeds")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	binary := filepath.Join(temp, "sim.test")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "./test/sim").CombinedOutput(); err != nil {
		return fmt.Errorf("build the simulation: %w:\n%s", err, out)
	}
	begun, before := time.Now(), len(s.done)
	for _, p := range s.missingPortions(c.seeds) {
		if c.timeLimit > 0 && time.Since(begun) > c.timeLimit {
			fmt.Printf("time limit %v reached: %d of %d seeds\n", c.timeLimit, len(s.done), c.seeds)
			break
		}
		if err := s.runPortion(ctx, binary, p[0], p[1]); err != nil {
			return err
		}
		rate := float64(len(s.done)-before) / time.Since(begun).Seconds()
		left := time.Duration(float64(c.seeds-len(s.done))/max(rate, 0.001)) * time.Second
		fmt.Printf("%d of %d seeds, %d failed, %.2f a second, about %v left\n", len(s.done), c.seeds, len(s.failedSeeds()), rate, left.Round(time.Second))
	}
	return s.reportOutcome(c)
}

// describeCommit returns the tested commit, and whether files differ from it.
func describeCommit(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "", fmt.Errorf("git describe: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// runPortion runs seeds from..from+count and stores their lines.
func (s *seedState) runPortion(ctx context.Context, binary string, from, count int) error {
	out := binary + ".out"
	if err := os.Remove(out); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^TestSeeds$", "-test.timeout", "60m")
	cmd.Dir = filepath.Dir(binary)
	cmd.Env = append(os.Environ(), "GOGC=400", "ZONEWISE_SIM_FROM="+strconv.Itoa(from), "ZONEWISE_SIM_SEEDS="+strconv.Itoa(count), "ZONEWISE_SIM_OUT="+out)
	printed, runErr := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("stopped; run again to resume: %w", ctx.Err())
	}
	n, err := s.takeResults(out)
	if err != nil {
		return err
	}
	if n < count {
		return fmt.Errorf("%d of the seeds from %d to %d ended without a result (%w):\n%s", count-n, from, from+count-1, runErr, printed)
	}
	return nil
}
