//go:build external

package external

import (
	"slices"
	"testing"
)

func TestVerdictsOfPytestAreReadAsTheyWereSaid(t *testing.T) {
	v, err := pytestVerdicts([]byte(`<testsuites><testsuite>
<testcase classname="tests.integration.a.test_a" name="test_one"/>
<testcase classname="tests.integration.a.test_a" name="test_two[1]"><failure message="AssertionError: no&#10;  more">trace</failure></testcase>
<testcase classname="tests.integration.a.test_a" name="test_three"><error message="fixture broke"/></testcase>
<testcase classname="tests.integration.a.test_a" name="test_four"><skipped message="not today"/></testcase>
<testcase classname="tests.integration.admin.test_user_scram_credentials" name="test_user_scram_credentials"><failure message="x DescribeUserScramCredentials API (KIP-554) not supported by broker y"/></testcase>
</testsuite></testsuites>`))
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
	if _, err := pytestVerdicts([]byte("half")); err == nil {
		t.Error("a report that ends early was read")
	}
}
