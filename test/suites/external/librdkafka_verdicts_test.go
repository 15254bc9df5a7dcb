//go:build external

package external

import (
	"slices"
	"testing"
)

func TestLibrdkafkaVerdicts(t *testing.T) {
	v := runnerVerdicts("| 0001_one | PASSED | 1.0s | \n| 0002_two | SKIPPED | 0.0s | negative test flags\n"+
		"| \x1b[31m0003_three | FAILED | 1.0s | no such thing\n| 0045_other | SKIPPED | 0.0s | \n"+
		"| 0097_ssl_verify | SKIPPED | 0.0s | wants more\n| 0170_share_consumer_subscription | SKIPPED | 0.0s | not applicable\n", "0001", "")
	if v.passed != 1 || !slices.Equal(v.failed, []string{"0003_three: no such thing"}) ||
		!slices.Equal(v.skipped, []string{"0097_ssl_verify: wants more", "0170_share_consumer_subscription: " + shareGroupsLater}) {
		t.Errorf("%d passed, failed %q, skipped %q", v.passed, v.failed, v.skipped)
	}
	died := func(number, where, why string) string {
		return "metadata: Topic a, partition 11, replica mismatch:\n\x1b[31m### Test \"" + number + "\" failed at " + where + " at Thu Nov 26 15:28:21 2026: ###\n" + why + "\n"
	}
	v = runnerVerdicts(died("0081_admin", "test.c:1:wait()", "not seen"), "0081_admin/do_test_CreatePartitions", "do_test_CreatePartitions")
	if !slices.Equal(v.skipped, []string{"0081_admin/do_test_CreatePartitions: " + synthetic}) || len(v.failed) > 0 {
		t.Errorf("failed %q, skipped %q", v.failed, v.skipped)
	}
	v = runnerVerdicts(died("0077_compaction", "test.c:1:wait()", "timed out"), "0077", "")
	if want := []string{`0077: test-runner died: ### Test "0077_compaction" failed at test.c:1:wait(): timed out metadata: Topic a, partition 11, replica mismatch:`}; !slices.Equal(v.failed, want) {
		t.Errorf("failed %q, want %q", v.failed, want)
	}
}
