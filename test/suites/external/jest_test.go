//go:build external

package external

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// longestWords bounds the text of one failure, in bytes.
const longestWords = 250

// jestVerdicts reads jest's JSON report. A test's name is its file, without the common
// path, and its title; known are the failures with a known reason.
func jestVerdicts(report []byte, known []knownFailure) (suiteResult, error) {
	var all struct {
		TestResults []struct {
			Name             string // path
			Message          string
			AssertionResults []struct {
				FullName        string
				Status          string
				FailureMessages []string
			}
		}
	}
	if err := json.Unmarshal(report, &all); err != nil {
		return suiteResult{}, fmt.Errorf("read jest's report: %w", err)
	}
	var v suiteResult
	for _, file := range all.TestResults {
		name := jestFile(file.Name)
		if len(file.AssertionResults) == 0 {
			v.addFailed(known, name+".*", jestWords(file.Message))
		}
		for _, c := range file.AssertionResults {
			test := name + "." + strings.ReplaceAll(strings.Join(strings.Fields(c.FullName), " "), ": ", " - ")
			switch c.Status {
			case "passed":
				v.passed++
			case "failed":
				v.addFailed(known, test, jestWords(strings.Join(c.FailureMessages, "\n")))
			default:
				v.skipped = append(v.skipped, test+": the suite skips it")
			}
		}
	}
	return v, nil
}

func jestFile(path string) string {
	_, path, _ = strings.Cut(path, "/src/")
	path = strings.ReplaceAll(path, "__tests__/", "")
	return strings.TrimSuffix(path, ".spec.js")
}

// jestWords returns a failure's message without colours and stack.
func jestWords(message string) string {
	message = regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(message, "")
	message, _, _ = strings.Cut(message, "\n    at ")
	message = strings.Join(strings.Fields(message), " ")
	return message[:min(len(message), longestWords)]
}

func TestJestVerdicts(t *testing.T) {
	v, err := jestVerdicts([]byte(`{"testResults":[
{"name":"/cache/src/admin/__tests__/createAcls.spec.js","assertionResults":[
 {"fullName":"Admin one","status":"passed"},
 {"fullName":"Admin: two","status":"failed","failureMessages":["Error: \u001b[2mno\u001b[22m\n  more\n    at somewhere"]},
 {"fullName":"Admin three","status":"failed","failureMessages":["connect ECONNREFUSED 127.0.0.1:9094"]},
 {"fullName":"Admin four","status":"pending"}]},
{"name":"/cache/src/producer/index.spec.js","message":"it does not parse","assertionResults":[]}]}`),
		[]knownFailure{{"admin/createAcls.Admin three", "ECONNREFUSED", saslLater}})
	if err != nil {
		t.Fatal(err)
	}
	if v.passed != 1 || !slices.Equal(v.failed, []string{"admin/createAcls.Admin - two: Error: no more", "producer/index.*: it does not parse"}) {
		t.Errorf("%d passed, failed %q", v.passed, v.failed)
	}
	if want := []string{"admin/createAcls.Admin three: " + saslLater, "admin/createAcls.Admin four: the suite skips it"}; !slices.Equal(v.skipped, want) {
		t.Errorf("skipped %q, want %q", v.skipped, want)
	}
	if _, err := jestVerdicts([]byte("half"), nil); err == nil {
		t.Error("a report that ends early was read")
	}
}
