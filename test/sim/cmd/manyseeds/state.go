package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/zonewise/zonewise/test/testenv/report"
)

// result is a seed's line, as the test writes it.
type result struct {
	Seed     int
	Digest   string
	Wrong    []string
	Batches  int
	Faults   int
	Virtual  time.Duration
	Coverage map[string]int
	Commit   string `json:"-"` // the header above it
}

// seedState is what has been run. In its file a line names the commit of the lines
// below it. Lines of another commit do not count, unless they are carried over: then
// those of passed seeds do.
type seedState struct {
	file   string
	commit string
	done   map[int]result
}

const header = "commit "

// How a state file is opened.
type openMode int

const (
	resumeState openMode = iota // with the lines of this commit
	carryOver                   // with those of others, too
	startFresh                  // with none
)

func openState(file, commit string, how openMode) (*seedState, error) {
	s := &seedState{file: file, commit: commit, done: map[int]result{}}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var last string
	if how != startFresh {
		last, err = s.readLines(f)
	}
	if err == nil && (how == startFresh || how == resumeState && last != commit) { // start over
		s.done = map[int]result{}
		last, err = "", f.Truncate(0)
	}
	if err == nil && last != commit {
		_, err = f.WriteString(header + commit + "\n")
	}
	for seed, r := range s.done {
		if r.Commit != commit && len(r.Wrong) > 0 {
			delete(s.done, seed)
		}
	}
	if err == nil && len(s.done) > 0 {
		fmt.Printf("resuming after %d seeds\n", len(s.done))
	}
	return s, err
}

// maxLine bounds one line of the state file.
const maxLine = 1 << 20

// readLines reads all lines and returns the last commit.
func (s *seedState) readLines(f *os.File) (commit string, err error) {
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), header); ok {
			commit = name
			continue
		}
		r := result{Commit: commit}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return "", fmt.Errorf("%s: %w", s.file, err)
		}
		s.done[r.Seed] = r
	}
	return commit, lines.Err()
}

// missingPortions lists the portions, first and count, that have not been run.
func (s *seedState) missingPortions(seeds int) (out [][2]int) {
	for seed := 0; seed < seeds; seed++ {
		if _, ok := s.done[seed]; ok {
			continue
		}
		if n := len(out); n > 0 && out[n-1][0]+out[n-1][1] == seed && out[n-1][1] < portionSeeds {
			out[n-1][1]++
		} else {
			out = append(out, [2]int{seed, 1})
		}
	}
	return out
}

// takeResults moves the lines that a run wrote into the state file.
func (s *seedState) takeResults(out string) (n int, err error) {
	b, err := os.ReadFile(out)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(s.file, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for line := range strings.Lines(string(b)) {
		r := result{Commit: s.commit}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return n, fmt.Errorf("read a seed's result: %w", err)
		}
		if _, err := f.WriteString(line); err != nil {
			return n, err
		}
		s.done[r.Seed] = r
		n++
		for _, w := range r.Wrong {
			fmt.Printf("seed %d: %s\n", r.Seed, w)
		}
	}
	return n, nil
}

func (s *seedState) failedSeeds() (seeds []int) {
	for _, seed := range slices.Sorted(maps.Keys(s.done)) {
		if len(s.done[seed].Wrong) > 0 {
			seeds = append(seeds, seed)
		}
	}
	return seeds
}

// reportOutcome prints and writes the result, and fails if a seed failed or an
// interesting state was never reached.
func (s *seedState) reportOutcome(c *config) error {
	text, missing := s.renderReport()
	fmt.Print(text)
	if c.report != "" {
		if err := report.Write(c.report, "seeds", text); err != nil {
			return err
		}
	}
	if failed := s.failedSeeds(); len(failed) > 0 {
		return fmt.Errorf("seeds %v broke a promise", failed)
	}
	if len(s.done) < c.minSeeds {
		return fmt.Errorf("want %d seeds: the time limit (-within %v) was enough for %d", c.minSeeds, c.timeLimit, len(s.done))
	}
	if len(missing) > 0 {
		return fmt.Errorf("never reached: %q", missing)
	}
	return nil
}

func (s *seedState) renderReport() (text string, missing []string) {
	var virtual time.Duration
	batches, faults, coverage, commits := 0, 0, map[string]int{}, map[string]int{}
	for _, r := range s.done {
		commits[r.Commit]++
		batches, faults, virtual = batches+r.Batches, faults+r.Faults, virtual+r.Virtual
		for k, n := range r.Coverage {
			coverage[k] += n
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| | |\n|---|---|\n| commit | `%s` |\n| date | %s |\n", s.commit, time.Now().UTC().Format("2006-01-02"))
	for _, commit := range slices.Sorted(maps.Keys(commits)) {
		if commit != s.commit {
			fmt.Fprintf(&b, "| of these held at `%s`, and were not run again | %d |\n", commit, commits[commit])
		}
	}
	fmt.Fprintf(&b, "| seeds | %d, the last is %d |\n| seeds that broke a promise | %d |\n", len(s.done), slices.Max(slices.AppendSeq([]int{-1}, maps.Keys(s.done))), len(s.failedSeeds()))
	fmt.Fprintf(&b, "| client batches | %d |\n| faults injected | %d |\n| virtual time | %v |\n\n", batches, faults, virtual.Round(time.Second))
	fmt.Fprintf(&b, "How often an interesting state was reached; none may be zero.\n\n| state | times |\n|---|---|\n")
	for _, k := range slices.Sorted(maps.Keys(coverage)) {
		fmt.Fprintf(&b, "| %s | %d |\n", k, coverage[k])
		if coverage[k] == 0 {
			missing = append(missing, k)
		}
	}
	for _, seed := range s.failedSeeds() {
		fmt.Fprintf(&b, "\nSeed %d (`ZONEWISE_SIM_FROM=%d ZONEWISE_SIM_SEEDS=1 go test ./test/sim -run TestSeeds -v`):\n\n", seed, seed)
		for _, w := range s.done[seed].Wrong {
			fmt.Fprintf(&b, "- %s\n", w)
		}
	}
	return b.String(), missing
}
