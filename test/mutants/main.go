package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "run the mutants whose name contains this")
	fixes := flag.Bool("fixes", false, "take out each fix of docs/bugs.md's later sections instead: its named test must fail")
	verbose := flag.Bool("v", false, "show what the tests printed")
	flag.Parse()
	h := &harness{only: *only, verbose: *verbose, cleanResults: map[string]error{}, table: slices.Concat(promiseMutants(), storagePromises())}
	if *fixes {
		h.table = fixedBugs()
	}
	if err := h.runTable(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// testTimeout bounds one run of tests. A timeout is no verdict: the machine may be
// busy. synctest notices at once a mutant that makes a bubble hang.
const testTimeout = 15 * time.Minute

// harness runs the table.
type harness struct {
	only         string
	verbose      bool
	table        []mutant
	root         string // of the module
	temp         string
	cleanResults map[string]error // result of a test without a mutant
}

func (h *harness) runTable(ctx context.Context) (err error) {
	if h.root, err = moduleRoot(ctx); err != nil {
		return err
	}
	if h.temp, err = os.MkdirTemp("", "mutants"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(h.temp)) }()
	passed, failed := 0, 0
	for i, m := range h.table {
		if !strings.Contains(m.name, h.only) {
			continue
		}
		begun := time.Now()
		verdict, err := h.runMutant(ctx, i, m)
		if err != nil {
			verdict = "FAILED: " + err.Error()
			failed++
		} else {
			passed++
		}
		fmt.Printf("%-52s %-20s %6.1fs  %s\n", m.name, m.pkg, time.Since(begun).Seconds(), verdict)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		return errors.New("at least one mutant survived")
	}
	return nil
}

// runMutant applies one mutant: its test must pass without it and fail with it. It
// returns the test's first finding.
func (h *harness) runMutant(ctx context.Context, i int, m mutant) (string, error) {
	overlay, err := h.writeOverlay(i, m)
	if err != nil {
		return "", err
	}
	key := m.pkg + " " + m.run + " " + m.seeds
	if _, known := h.cleanResults[key]; !known {
		_, err := h.runTest(ctx, m, "")
		h.cleanResults[key] = err
	}
	if err := h.cleanResults[key]; err != nil {
		return "", fmt.Errorf("the test fails without the mutant: %w", err)
	}
	out, err := h.runTest(ctx, m, overlay)
	has := func(text string) bool { return bytes.Contains(out, []byte(text)) }
	switch {
	case has("[build failed]") || has("[setup failed]"):
		return "", fmt.Errorf("the mutant does not compile:\n%s", lastBytes(out))
	case has("no tests to run"):
		return "", fmt.Errorf("no test of %s matches %q", m.pkg, m.run)
	case has("panic: test timed out"):
		return "", fmt.Errorf("no verdict within %v", testTimeout)
	case err == nil:
		return "", fmt.Errorf("survived go test -run '%s' %s", m.run, m.pkg)
	}
	return "caught: " + firstFinding(out), nil
}

// firstFinding is the first line that a failed test printed by t.Error, or a
// panic's.
func firstFinding(out []byte) string {
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		_, said, ok := strings.Cut(line, ".go:")
		if ok && !strings.Contains(said, " batches in ") && !strings.Contains(said, "batches; ") {
			if _, text, ok := strings.Cut(said, ": "); ok {
				return text[:min(len(text), 90)]
			}
		}
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return line[:min(len(line), 90)]
		}
	}
	return "the test failed"
}

// writeOverlay writes the changed files and the overlay that names them.
func (h *harness) writeOverlay(i int, m mutant) (string, error) {
	texts := map[string]string{}
	for _, e := range m.edits {
		path := filepath.Join(h.root, filepath.FromSlash(e.file))
		text, ok := texts[path]
		if !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			text = string(b)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("the text to change occurs %d times in %s, want once: update the mutant", n, e.file)
		}
		texts[path] = strings.Replace(text, e.old, e.new, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		changed := filepath.Join(h.temp, fmt.Sprintf("%d-%d-%s", i, len(replace), filepath.Base(path)))
		if err := os.WriteFile(changed, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[path] = changed
	}
	if len(replace) == 0 {
		return "", errors.New("the mutant changes nothing")
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(h.temp, fmt.Sprintf("%d.json", i))
	return name, os.WriteFile(name, b, 0o644)
}

// runTest runs a mutant's test, with or without the mutant.
func (h *harness) runTest(ctx context.Context, m mutant, overlay string) ([]byte, error) {
	args := []string{"test", "-run", m.run, "-timeout", testTimeout.String(), "-failfast", "-vet=off"}
	if overlay != "" {
		args = append(args, "-overlay", overlay, "-count=1")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, m.pkg)...)
	cmd.Dir, cmd.Env = h.root, os.Environ()
	if m.seeds != "" {
		from, count, _ := strings.Cut(m.seeds, "+")
		cmd.Env = append(cmd.Env, "ZONEWISE_SIM_FROM="+from, "ZONEWISE_SIM_SEEDS="+count, "ZONEWISE_SIM_FAILFAST=1")
	}
	out, err := cmd.CombinedOutput()
	if h.verbose {
		fmt.Printf("%s\n", out)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return out, fmt.Errorf("run go test: %w", err)
	}
	if err != nil && overlay == "" {
		return out, fmt.Errorf("%w:\n%s", err, lastBytes(out))
	}
	return out, err
}

// lastBytes returns the end of an output, enough to see what failed.
func lastBytes(out []byte) []byte { return out[max(0, len(out)-2000):] }

// moduleRoot finds the module that this program runs in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(mod) != "go.mod" {
		return "", errors.New("not inside a Go module")
	}
	return filepath.Dir(mod), nil
}
