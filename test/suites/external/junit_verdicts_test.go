//go:build external

package external

import (
	"slices"
	"testing"
)

func TestJUnitVerdicts(t *testing.T) {
	v := junitVerdicts("passed\tA.one[1]\t5\t\n" +
		"failed\tA.two[1]\t5\tAssertionError: no\n" +
		"failed\tListOffsetsIntegrationTest.x[1]\t5\texpected leader: 0 but actual: 2\n" +
		"failed\tListOffsetsIntegrationTest.x[1]\t5\texpected offset: 0\n" +
		"skipped\tA.three[1]\t5\tsetting k\nskipped\tA.four\t0\tsetting k\nhalf a line")
	if v.passed != 1 || !slices.Equal(v.failed, []string{"A.two[1]: AssertionError: no", "ListOffsetsIntegrationTest.x[1]: expected offset: 0"}) {
		t.Errorf("passed %d, failed %q", v.passed, v.failed)
	}
	want := []string{"ListOffsetsIntegrationTest.x[1]: differs by design: " + reassigned, "A, 2 tests (three[1], four): setting k"}
	if got := foldByClass(v.skipped); len(v.skipped) != 3 || !slices.Equal(got, want) {
		t.Errorf("skipped %q", got)
	}
}

func TestATestThatFailsTwiceHasFailed(t *testing.T) {
	first := suiteResult{passed: 7, failed: []string{"A.one[1]: 482 ms", "A.two[1]: no"}}
	v := first
	v.mergeRetry(suiteResult{passed: 1, failed: []string{"A.two[1]: again"}})
	if v.passed != 8 || !slices.Equal(v.failed, []string{"A.two[1]: no"}) || !slices.Equal(v.passedLater, []string{"A.one[1]: 482 ms"}) {
		t.Errorf("%+v", v)
	}
	v = first
	v.mergeRetry(suiteResult{passed: 2, skipped: []string{"A.two[1]: setting k"}}) // of another test, too
	if v.passed != 8 || !slices.Equal(v.failed, []string{"A.two[1]: no"}) {
		t.Errorf("what was skipped counts as passed: %+v", v)
	}
	v = first
	if v.mergeRetry(suiteResult{}); v.passed != 7 || len(v.failed) != 2 || len(v.passedLater) != 0 {
		t.Errorf("what was not run again counts as passed: %+v", v)
	}
}
