//go:build external

package external

import (
	"fmt"
	"regexp"
	"strings"
)

// Later issues bring what these want; the other tests all run.
const (
	aclsLater        = "ACLs come with an issue of their own"
	scramLater       = "SCRAM users come with an issue of their own"
	shareGroupsLater = "share groups come with an issue of their own"
	atOnce           = "an expression is resolved before the member is answered: what it matches is assigned at once with what is subscribed by name"
	eager            = "the test waits for all partitions to be revoked and given anew, the consumer protocol moves what changes; fails at Apache Kafka 4.1.1, too"
	compactionLater  = "cleanup.policy=compact is stored and not enforced yet: compaction comes with an issue of its own"
)

// laterIssue returns the issue that a test waits for.
func laterIssue(number, subtest string) string {
	switch {
	case number == "0115" || number == "0119" || strings.Contains(subtest, "Acls"):
		return aclsLater
	case strings.Contains(subtest, "Scram"):
		return scramLater
	}
	return ""
}

// librdkafkaDesigns are the failures with a known reason.
func librdkafkaDesigns() []knownFailure {
	return []knownFailure{
		{"0045_resubscribe_with_regex", "expected assignment of 2 partitions, got 10", atOnce},
		{"0045_subscribe_update_non_exist_and_partchange", "expected REVOKE, got Local: Assign partitions", eager},
		{"0045_subscribe_update_topic_remove", "not found in assginment", eager},
		{"0077", "post-compaction: Verification of 40 received messages failed: expected 13 messages", compactionLater},
		{"0081_admin/do_test_CreatePartitions", "replica mismatch", synthetic},
		{"0109", "/bin/kafka-acls.sh", "its last part wants ACLs; " + aclsLater},
	}
}

// runnerVerdicts reads test-runner's summary of one test, or of one subtest.
func runnerVerdicts(output, name, subtest string) suiteResult {
	var v suiteResult
	output = regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(output, "")
	verdict := regexp.MustCompile(`^\|\s*(\d\d\d\d_\w+|<MAIN>)\s*\|\s*(\w[\w ]*\w)\s*\|[^|]*\|\s*(.*)$`)
	ended := false
	for line := range strings.Lines(output) {
		m := verdict.FindStringSubmatch(strings.TrimRight(line, "\n"))
		ended = ended || m != nil
		if m == nil || m[1] == "<MAIN>" || strings.Contains(m[3], "negative test flags") {
			continue // -L leaves out tests that need no broker
		}
		title := m[1]
		if subtest != "" {
			title += "/" + subtest
		}
		switch {
		case m[2] == "PASSED" && subtest != "" && !strings.Contains(output, ": PASS ("):
			v.skipped = append(v.skipped, title+": "+skipReason(output))
		case m[2] == "PASSED":
			v.passed++
		case m[2] == "SKIPPED" && strings.HasPrefix(m[3], "requires test scenario"), m[2] == "SKIPPED" && m[3] == "":
			// a test of the other scenario
		case m[2] == "SKIPPED" && strings.Contains(m[1], "_share_consumer_"):
			v.skipped = append(v.skipped, title+": "+shareGroupsLater)
		case m[2] == "SKIPPED":
			v.skipped = append(v.skipped, title+": "+m[3])
		default:
			v.addFailed(librdkafkaDesigns(), title, m[3]+lastMismatch(output))
		}
	}
	if !ended {
		v.addFailed(librdkafkaDesigns(), name, lastWords(output))
	}
	return v
}

// addFailed counts a failed test, as skipped if the reason is known.
func (v *suiteResult) addFailed(known []knownFailure, test, said string) {
	if why := knownReason(known, test, said); why != "" {
		v.skipped = append(v.skipped, test+": "+why)
		return
	}
	v.failed = append(v.failed, test+": "+said)
}

// lastWords returns the last output of a test that ended before the summary.
func lastWords(output string) string {
	if m := regexp.MustCompile(`(?m)^(### Test .*) at .* ###\n(.*)$|^(test-runner: .*)$`).FindStringSubmatch(output); m != nil {
		return fmt.Sprintf("test-runner died: %s: %s%s", m[1], m[2], m[3]) + lastMismatch(output)
	}
	return "test-runner left no summary"
}

// skipReason returns the reason that a subtest printed when it skipped.
func skipReason(output string) string {
	if m := regexp.MustCompile(`: SKIP: (.*?)\s*\]`).FindStringSubmatch(output); m != nil {
		return m[1]
	}
	return "does not run under this protocol"
}

// lastMismatch returns a test's last message about unexpected metadata.
func lastMismatch(output string) string {
	if seen := regexp.MustCompile(`metadata: Topic .*`).FindAllString(output, -1); len(seen) > 0 {
		return " " + seen[len(seen)-1]
	}
	return ""
}
