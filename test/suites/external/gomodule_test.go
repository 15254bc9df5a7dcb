//go:build external

package external

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// goSuite is a Go module's own tests.
type goSuite struct {
	module, version, pkg string // pkg: import path of the tests
	env                  []string
	args                 []string
	limit                time.Duration
	// separate are tests, as patterns of -test.run, that end their process and so hide
	// later tests: each gets a process of its own.
	separate []string
}

// runSuite obtains the module, builds its tests and runs them in the folder of its
// sources. It returns their output, with a line for each test that never ended.
func (s goSuite) runSuite(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	step := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	step("go", "mod", "init", "suite")
	step("go", "get", "-t", s.pkg+"@"+s.version)
	program := filepath.Join(folder, "suite.test")
	step("go", "test", "-c", "-o", program, s.pkg)
	sources := step("go", "list", "-f", "{{.Dir}}", s.pkg)
	out := s.runProcess(t, program, sources, slices.Concat(s.args, skipPattern(s.separate))...)
	if os.Getenv("SUITE_RUN") == "" {
		for _, test := range s.separate {
			out += s.runProcess(t, program, sources, "-test.run", test)
		}
		out += missingVerdicts(step(program, "-test.list", "^Test"), out)
	}
	return out
}

func (s goSuite) runProcess(t *testing.T, program, sources string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.limit+time.Minute)
	defer cancel()
	args = append([]string{"-test.v", "-test.timeout", s.limit.String()}, args...)
	if run := os.Getenv("SUITE_RUN"); run != "" {
		args = append(args, "-test.run", run)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = sources, append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%s %v ended: %v", s.pkg, args, err)
	}
	return string(out)
}

// tryAgain repeats the failed tests, if they are few.
func (v *suiteResult) tryAgain(run func(args ...string) suiteResult) {
	if n := len(v.failed); n > 0 && n <= maxRetries && os.Getenv("SUITE_RUN") == "" {
		v.mergeRetry(run("-test.run", "^("+strings.Join(topLevel(v.failed), "|")+")$"))
	}
}

// topLevel returns the names of tests, without sub-tests, from lines of failures.
func topLevel(failed []string) (names []string) {
	for _, line := range failed {
		name, _, _ := strings.Cut(line, ": ")
		name, _, _ = strings.Cut(name, "/")
		names = append(names, name)
	}
	return names
}

// skipPattern is -test.skip with all of these.
func skipPattern(tests []string) []string {
	if len(tests) == 0 {
		return nil
	}
	return []string{"-test.skip", strings.Join(tests, "|")}
}

// missingVerdicts returns a failure for each test of a list that has no verdict.
func missingVerdicts(list, output string) (out string) {
	for _, test := range strings.Fields(list) {
		if !regexp.MustCompile(`(?m)^--- \w+: ` + test + ` \(`).MatchString(output) {
			out += "--- FAIL: " + test + " (0.00s)\n    none_test.go:0: it never ended\n"
		}
	}
	return out
}

// keepOutput stores a suite's whole output in the file that SUITE_OUTPUT names.
func keepOutput(t *testing.T, out []byte) {
	t.Helper()
	if path := os.Getenv("SUITE_OUTPUT"); path != "" {
		if err := os.WriteFile(path, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// runReported runs a suite, keeps its output, and returns the report that it wrote.
func runReported(t *testing.T, suite *exec.Cmd, report string) []byte {
	t.Helper()
	out, err := suite.CombinedOutput()
	keepOutput(t, out)
	if err != nil {
		t.Logf("%s ended: %v", filepath.Base(suite.Path), err)
	}
	body, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v\n%s", err, out[max(0, len(out)-4000):])
	}
	return body
}

// keepMore stores the output of one part of a suite next to it.
func keepMore(t *testing.T, part, out string) {
	t.Helper()
	if path := os.Getenv("SUITE_OUTPUT"); path != "" {
		if err := os.WriteFile(path+"-"+part, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
