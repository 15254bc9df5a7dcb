//go:build external

package external

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pytestVerdicts reads pytest's report in JUnit's format. known are the failures with
// a known reason.
func pytestVerdicts(report []byte, known []knownFailure) (suiteResult, error) {
	type said struct {
		Message string `xml:"message,attr"`
	}
	var all struct {
		Cases []struct {
			Class   string `xml:"classname,attr"`
			Name    string `xml:"name,attr"`
			Failure *said  `xml:"failure"`
			Error   *said  `xml:"error"`
			Skipped *said  `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(report, &all); err != nil {
		return suiteResult{}, fmt.Errorf("read pytest's report: %w", err)
	}
	var v suiteResult
	for _, c := range all.Cases {
		name := c.Class[strings.LastIndex(c.Class, ".")+1:] + "." + c.Name
		words := func(s *said) string { return strings.Join(strings.Fields(s.Message), " ") }
		switch {
		case c.Skipped != nil:
			v.skipped = append(v.skipped, name+": "+words(c.Skipped))
		case c.Failure != nil:
			v.addFailed(known, name, words(c.Failure))
		case c.Error != nil:
			v.addFailed(known, name, words(c.Error))
		default:
			v.passed++
		}
	}
	return v, nil
}

func TestPytestVerdicts(t *testing.T) {
	v, err := pytestVerdicts([]byte(`<testsuites><testsuite>
<testcase classname="tests.integration.a.test_a" name="test_one"/>
<testcase classname="tests.integration.a.test_a" name="test_two[1]"><failure message="AssertionError: no&#10;  more">trace</failure></testcase>
<testcase classname="tests.integration.a.test_a" name="test_three"><error message="fixture broke"/></testcase>
<testcase classname="tests.integration.a.test_a" name="test_four"><skipped message="not today"/></testcase>
<testcase classname="tests.integration.admin.test_user_scram_credentials" name="test_user_scram_credentials"><failure message="x DescribeUserScramCredentials API (KIP-554) not supported by broker y"/></testcase>
</testsuite></testsuites>`), confluentPythonDesigns())
	if err != nil {
		t.Fatal(err)
	}
	if v.passed != 1 || !slices.Equal(v.failed, []string{"test_a.test_two[1]: AssertionError: no more", "test_a.test_three: fixture broke"}) {
		t.Errorf("%d passed, failed %q", v.passed, v.failed)
	}
	want := []string{"test_a.test_four: not today", "test_user_scram_credentials.test_user_scram_credentials: " + scramLater}
	if !slices.Equal(v.skipped, want) {
		t.Errorf("skipped %q, want %q", v.skipped, want)
	}
	if _, err := pytestVerdicts([]byte("half"), nil); err == nil {
		t.Error("a report that ends early was read")
	}
}
