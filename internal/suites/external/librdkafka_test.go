//go:build external

package external

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Later issues bring what these want; the other tests all run.
const (
	aclsLater      = "ACLs come with an issue of their own"
	scramLater     = "SCRAM users come with an issue of their own"
	librdkafkaTime = 40 * time.Minute // of one run of test-runner
)

// librdkafka is a run of its test-runner: where, against what.
type librdkafka struct {
	tests, kafka, protocol string
	on                     target
	folder                 string // of the run's files
	output                 strings.Builder
}

// librdkafka's own tests, under the classic consumer protocol and the new one,
// with topics made on first use and without. SUITE_PROTOCOL and SUITE_RUN
// (numbers, "0081,0103") choose.
func TestLibrdkafka(t *testing.T) {
	tests, err := librdkafkaTests()
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := kafkaPath(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range strings.Split(setting("SUITE_PROTOCOL", "classic,consumer"), ",") {
		t.Run(protocol, func(t *testing.T) {
			var v verdicts
			var name target
			least := 90
			for _, auto := range []bool{true, false} {
				t.Run(fmt.Sprintf("auto-create=%v", auto), func(t *testing.T) {
					r := librdkafka{tests: tests, kafka: kafka, protocol: protocol, on: openForLibrdkafka(t, auto), folder: t.TempDir()}
					v.add(r.all(t, auto))
					name = r.on
					keepMore(t, fmt.Sprintf("%s-auto-%v", protocol, auto), r.output.String())
				})
			}
			version := fmt.Sprintf("librdkafka %s test-runner -L -Q (npm %s %s), %s protocol", librdkafkaVersion, librdkafkaPackage, librdkafkaPackageVersion, protocol)
			if run := os.Getenv("SUITE_RUN"); run != "" {
				version, least = version+", "+run, 1
			}
			publish(t, "librdkafka "+protocol, version, name, v)
			judge(t, v, least)
		})
	}
}

// openForLibrdkafka starts what its tests are written for: topics of four
// partitions, made when they are first used, or not.
func openForLibrdkafka(t *testing.T, auto bool) target {
	t.Helper()
	return openWith(t, map[string]string{"num.partitions": "4", "auto.create.topics.enable": fmt.Sprint(auto)},
		"--default-partitions", "4", fmt.Sprintf("--auto-create-topics=%v", auto))
}

// all runs one scenario of test-runner: everything but 0081 at once, then 0081
// by its subtests, because some of them are about ACLs and the first that
// fails would end it.
func (r *librdkafka) all(t *testing.T, auto bool) verdicts {
	t.Helper()
	scenario := "default"
	if !auto {
		scenario = "noautocreate"
	}
	only := os.Getenv("SUITE_RUN")
	env := []string{"TEST_SCENARIO=" + scenario, "TESTS_SKIP=0081,0115,0119"}
	if only != "" {
		env = append(env, "TESTS="+only)
	}
	v := runnerVerdicts(r.run(t, env...), "")
	if !auto || only != "" && !strings.Contains(only, "0081") {
		return v
	}
	subtests, err := adminSubtests(filepath.Join(r.tests, "0081-admin.c"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subtests {
		switch {
		case strings.Contains(s, "Acls"):
			v.skipped = append(v.skipped, "0081_admin/"+s+": "+aclsLater)
		case strings.Contains(s, "Scram"):
			v.skipped = append(v.skipped, "0081_admin/"+s+": "+scramLater)
		default:
			v.add(runnerVerdicts(r.run(t, "TESTS=0081", "SUBTESTS="+s+":"), s))
		}
	}
	if only == "" {
		v.skipped = append(v.skipped, "0115_producer_auth: "+aclsLater, "0119_consumer_auth: "+aclsLater)
	}
	return v
}

// run starts test-runner once and returns what it printed.
func (r *librdkafka) run(t *testing.T, env ...string) string {
	t.Helper()
	conf := filepath.Join(r.folder, "test.conf")
	brokers := strings.Join(r.on.bootstrap, ",")
	text := fmt.Sprintf("metadata.broker.list=%s\ntest.topic.random=true\n", brokers)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), librdkafkaTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "./test-runner", "-L", "-Q", "-p"+setting("SUITE_PARALLEL", "3"))
	cmd.Dir = r.tests
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH=../src:../src-cpp", "RDKAFKA_TEST_CONF="+conf, "TEST_KAFKA_VERSION=4.1.1",
		"KAFKA_PATH="+r.kafka, "BROKERS="+brokers)
	if r.protocol != "classic" {
		cmd.Env = append(cmd.Env, "TEST_CONSUMER_GROUP_PROTOCOL="+r.protocol)
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("test-runner %v ended: %v", env, err)
	}
	r.output.Write(out)
	return string(out)
}

// adminSubtests are the functions of 0081 that are subtests.
func adminSubtests(path string) ([]string, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var names []string
	var at string
	head := regexp.MustCompile(`^(?:static void )?(do_test_\w+)\(.*[,{]$`)
	for line := range strings.Lines(string(source)) {
		line = strings.TrimSpace(line)
		if m := head.FindStringSubmatch(line); m != nil {
			at = m[1]
		}
		if strings.HasPrefix(line, "SUB_TEST_QUICK(") && !slices.Contains(names, at) {
			names = append(names, at)
		}
	}
	if len(names) < 20 {
		return nil, fmt.Errorf("find the subtests of %s: only %v", path, names)
	}
	return names, nil
}

// runnerVerdicts reads test-runner's summary. If a subtest is named, the whole
// is that one, and its verdict is that of its own lines.
func runnerVerdicts(output, subtest string) verdicts {
	var v verdicts
	output = regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(output, "")
	verdict := regexp.MustCompile(`^\|\s*(\d\d\d\d_\w+)\s*\|\s*(\w[\w ]*\w)\s*\|[^|]*\|\s*(.*)$`)
	ended := false
	for line := range strings.Lines(output) {
		m := verdict.FindStringSubmatch(strings.TrimRight(line, "\n"))
		ended = ended || m != nil
		if m == nil || strings.Contains(m[3], "negative test flags") || strings.Contains(m[3], "TESTS_SKIP list") {
			continue // -L leaves those out; and what all has taken apart
		}
		name := m[1]
		if subtest != "" {
			name += "/" + subtest
		}
		switch {
		case m[2] == "PASSED" && subtest != "" && !strings.Contains(output, ": PASS ("):
			v.skipped = append(v.skipped, name+": "+skipReason(output))
		case m[2] == "PASSED":
			v.passed++
		case m[2] == "SKIPPED":
			v.skipped = append(v.skipped, name+": "+m[3])
		default:
			v.failed = append(v.failed, name+": "+m[3])
		}
	}
	if !ended {
		v.failed = append(v.failed, "test-runner "+subtest+": left no summary")
	}
	return v
}

// skipReason is what a subtest said of itself when it skipped.
func skipReason(output string) string {
	if m := regexp.MustCompile(`: SKIP: (.*?)\s*\]`).FindStringSubmatch(output); m != nil {
		return m[1]
	}
	return "does not run in this mode (-Q, protocol)"
}
