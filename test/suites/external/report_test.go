//go:build external

package external

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/report"
)

// suiteResult is the result of a suite.
type suiteResult struct {
	passed          int
	failed, skipped []string // names, with their messages
	passedLater     []string // failed first and passed when repeated; counted as passed
}

// addResult adds the result of another part of the same suite.
func (v *suiteResult) addResult(o suiteResult) {
	v.passed += o.passed
	v.failed = append(v.failed, o.failed...)
	v.skipped = append(v.skipped, o.skipped...)
	v.passedLater = append(v.passedLater, o.passedLater...)
}

// maxRetries bounds how many tests of a suite may be repeated: more failures are not a
// matter of timing.
const maxRetries = 5

// mergeRetry merges the result of repeating the failed tests: one that ran and neither
// failed nor was skipped then has passed. The others keep their first message.
func (v *suiteResult) mergeRetry(second suiteResult) {
	fails := map[string]bool{}
	for _, f := range slices.Concat(second.failed, second.skipped) {
		name, _, _ := strings.Cut(f, ": ")
		fails[name] = true
	}
	first := v.failed
	if second.passed+len(second.failed) < len(first) {
		return // some did not run
	}
	v.failed = nil
	for _, f := range first {
		if name, _, _ := strings.Cut(f, ": "); fails[name] {
			v.failed = append(v.failed, f)
		} else {
			v.passedLater = append(v.passedLater, f)
			v.passed++
		}
	}
}

// explainKnown counts failures as skipped if their message has a known reason.
func (v *suiteResult) explainKnown(list []knownFailure) {
	failed := v.failed
	v.failed = nil
	for _, f := range failed {
		test, said, _ := strings.Cut(f, ": ")
		v.addFailed(list, test, said)
	}
}

// goVerdicts reads the output of `go test -v`.
func goVerdicts(output string) suiteResult {
	var v suiteResult
	said := map[string][]string{} // by test: lines with a file position
	running := ""
	place := regexp.MustCompile(`^\s+\w+_test\.go:\d+: (.*)`)
	died := regexp.MustCompile(`^panic: .*`)
	verdict := regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)
	named := regexp.MustCompile(`^=== (?:RUN|CONT|NAME)\s+(\S+)`)
	// Of kafka-go, then of confluent-kafka-go, then of Sarama.
	progress := regexp.MustCompile(`^(createTopic\(|waitForTopic: found|retrying after|` +
		`Creating ACLs|Validating topics|Creating topics|Topic \S+: matched expected|Topic \S+ now in metadata|Waiting for new topic|Running transaction with options|` +
		`coordinator broker \d|topic \S+ has leader|sent: |recv: |\(\*sarama\.)`)
	var after string // a sub-test's lines follow its verdict
	var more *string
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\n")
		if m := named.FindStringSubmatch(line); m != nil {
			running, after = m[1], ""
		} else if m := cmp.Or(place.FindString(line), died.FindString(line)); m != "" {
			name, text := cmp.Or(after, running), place.ReplaceAllString(m, "$1")
			if !progress.MatchString(text) {
				said[name] = append(said[name], text)
				more = &said[name][len(said[name])-1]
				continue
			}
		} else if strings.HasPrefix(line, "        ") && more != nil { // of the previous line
			if len(*more) < 300 {
				*more += " " + strings.TrimSpace(line)
			}
			continue
		} else if m := verdict.FindStringSubmatch(line); m != nil {
			after = m[2]
			switch m[1] {
			case "PASS":
				v.passed++
			case "FAIL":
				v.failed = append(v.failed, m[2])
			default:
				v.skipped = append(v.skipped, m[2])
			}
		}
		more = nil
	}
	all := slices.Clone(v.failed)
	v.failed = slices.DeleteFunc(v.failed, func(name string) bool {
		sub := func(other string) bool { return strings.HasPrefix(other, name+"/") }
		return len(said[name]) == 0 && slices.ContainsFunc(all, sub) // it failed because of them, and is not counted
	})
	for _, list := range [][]string{v.failed, v.skipped} {
		for i, name := range list {
			if lines := said[name]; len(lines) > 0 {
				list[i] += ": " + lines[0] // later lines are about cleanup
			}
		}
	}
	return v
}

// writeReport prints a suite's result, and writes it to the file that SUITE_REPORT
// names, between the comments with its name; a new section is added at the end.
func writeReport(t *testing.T, suite, version string, on target, v suiteResult) {
	t.Helper()
	text := fmt.Sprintf("%s against %s: %s, zonewise at %s: **%d passed, %d failed, %d skipped**.\n", version, on.name,
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), report.Commit(), v.passed, len(v.failed), len(v.skipped))
	for _, said := range []struct {
		title string
		tests []string
	}{{"failed", v.failed}, {"passed at the second try", v.passedLater}, {"skipped", v.skipped}} {
		for _, line := range foldByClass(said.tests) {
			text += fmt.Sprintf("- %s: %s\n", said.title, line)
		}
	}
	fmt.Print(text)
	path := os.Getenv("SUITE_REPORT")
	if path == "" {
		return
	}
	if !filepath.IsAbs(path) {
		root, err := devserver.Repository()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(root, path)
	}
	section := suite
	if on.name != "zonewise" {
		section += " beside"
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- suite "+section+": written by a run -->\n", "<!-- end of suite "+section+" -->"
	before, rest, ok := strings.Cut(string(body), begin)
	after := "\n"
	if ok {
		_, after, _ = strings.Cut(rest, end)
	} else {
		before = strings.TrimRight(before, "\n") + "\n\n"
	}
	if err := os.WriteFile(path, []byte(before+begin+text+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkResult fails the test for each failure.
func checkResult(t *testing.T, v suiteResult, least int) {
	t.Helper()
	if len(v.failed) > 0 {
		t.Errorf("%d failed: %s", len(v.failed), strings.Join(v.failed, "; "))
	}
	if v.passed < least {
		t.Errorf("%d passed: the suite has at least %d tests, so it did not run", v.passed, least)
	}
}
