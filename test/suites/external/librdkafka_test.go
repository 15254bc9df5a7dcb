//go:build external

package external

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	librdkafkaTime = 20 * time.Minute // of one test: 0113 waits for eleven
	// Tests in parallel: they wait more than they work.
	librdkafkaParallel = 4
)

// librdkafka is a run of its test-runner.
type librdkafka struct {
	tests, kafka, protocol string
	on                     target
	conf                   string          // path of test.conf
	mu                     sync.Mutex      // guards output
	output                 strings.Builder // of all tests
}

// librdkafka's own tests, with the classic and the new consumer protocol, with and
// without topics that are created on first use. SUITE_PROTOCOL and SUITE_RUN (numbers,
// "0081,0103") select.
func TestLibrdkafka(t *testing.T) {
	tests, err := librdkafkaTests()
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := kafkaPath(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range strings.Split(envOr("SUITE_PROTOCOL", "classic,consumer"), ",") {
		t.Run(protocol, func(t *testing.T) {
			var v suiteResult
			var name target
			least := 90
			for _, auto := range []bool{true, false} {
				t.Run(fmt.Sprintf("auto-create=%v", auto), func(t *testing.T) {
					r := librdkafka{tests: tests, kafka: kafka, protocol: protocol, on: openForLibrdkafka(t, auto), conf: filepath.Join(t.TempDir(), "test.conf")}
					text := fmt.Sprintf("metadata.broker.list=%s\ntest.topic.random=true\n", strings.Join(r.on.bootstrap, ","))
					if err := os.WriteFile(r.conf, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
					v.addResult(r.runAll(t, auto))
					name = r.on
					keepMore(t, fmt.Sprintf("%s-auto-%v", protocol, auto), r.output.String())
				})
			}
			version := fmt.Sprintf("librdkafka %s test-runner -L (npm %s %s), %s protocol", librdkafkaVersion, librdkafkaPackage, librdkafkaPackageVersion, protocol)
			if run := os.Getenv("SUITE_RUN"); run != "" {
				version, least = version+", "+run, 1
			}
			writeReport(t, "librdkafka "+protocol, version, name, v)
			checkResult(t, v, least)
		})
	}
}

// openForLibrdkafka starts the cluster that its tests are written for: topics of four
// partitions, created on first use or not.
func openForLibrdkafka(t *testing.T, auto bool) target {
	t.Helper()
	return openWith(t, map[string]string{"num.partitions": "4", "auto.create.topics.enable": fmt.Sprint(auto)},
		"--default-partitions", "4", fmt.Sprintf("--auto-create-topics=%v", auto))
}

// runAll runs one scenario: a process for each test, so that an abort hides no other
// test, and one for each subtest of 0081, because some are about ACLs and the first
// failure would end it.
func (r *librdkafka) runAll(t *testing.T, auto bool) suiteResult {
	t.Helper()
	numbers, err := testNumbers(filepath.Join(r.tests, "test.c"))
	if err != nil {
		t.Fatal(err)
	}
	subtests, err := adminSubtests(filepath.Join(r.tests, "0081-admin.c"))
	if err != nil {
		t.Fatal(err)
	}
	scenario := "TEST_SCENARIO=default"
	if !auto {
		scenario = "TEST_SCENARIO=noautocreate"
	}
	// Tests that take minutes start first, so that nothing waits for them at the end.
	slices.SortStableFunc(numbers, func(a, b string) int { return cmp.Compare(queueOrder(a), queueOrder(b)) })
	only := os.Getenv("SUITE_RUN")
	var v suiteResult
	var runs []func() suiteResult // in the order of the report
	for _, n := range numbers {
		if only != "" && !strings.Contains(only, n) || !auto && laterIssue(n, "") != "" {
			continue
		}
		if n != "0081" {
			runs = append(runs, func() suiteResult { return r.runTest(t, n, "", scenario) })
			continue
		}
		for _, s := range subtests {
			if auto {
				runs = append(runs, func() suiteResult { return r.runTest(t, n, s, scenario) })
			}
		}
	}
	out := make([]suiteResult, len(runs))
	var wg sync.WaitGroup
	slots := make(chan struct{}, librdkafkaParallel)
	for i, run := range runs {
		slots <- struct{}{}
		wg.Go(func() {
			out[i] = run()
			<-slots
		})
	}
	wg.Wait()
	failed := 0
	for _, o := range out {
		failed += len(o.failed)
	}
	for i, o := range out {
		if len(o.failed) > 0 && failed <= maxRetries { // with no other test in parallel
			o.mergeRetry(runs[i]())
		}
		v.addResult(o)
	}
	return v
}

// queueOrder is a test's place in the queue; 0113 waits for ten minutes.
func queueOrder(number string) int {
	if i := slices.Index([]string{"0113", "0098", "0150"}, number); i >= 0 {
		return i
	}
	return 3
}

// runTest runs one test or subtest, unless it needs a feature of a later issue.
func (r *librdkafka) runTest(t *testing.T, number, subtest, scenario string) suiteResult {
	name := number
	if subtest != "" {
		name += "/" + subtest
	}
	if why := laterIssue(number, subtest); why != "" {
		return suiteResult{skipped: []string{name + ": " + why}}
	}
	env := []string{scenario, "TESTS=" + number}
	if subtest != "" {
		env = append(env, "SUBTESTS="+subtest+":")
	}
	return runnerVerdicts(r.runRunner(t, env...), name, subtest)
}

// runRunner runs test-runner once and returns its output.
func (r *librdkafka) runRunner(t *testing.T, env ...string) string {
	t.Helper()
	brokers := strings.Join(r.on.bootstrap, ",")
	ctx, cancel := context.WithTimeout(context.Background(), librdkafkaTime)
	defer cancel()
	// It aborts after a failure and would lose its buffered output: the summary.
	cmd := exec.CommandContext(ctx, "stdbuf", "-oL", "./test-runner", "-L")
	cmd.Dir = r.tests
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH=../src:../src-cpp", "RDKAFKA_TEST_CONF="+r.conf, "TEST_KAFKA_VERSION=4.1.1",
		"KAFKA_PATH="+r.kafka, "BROKERS="+brokers)
	if r.protocol != "classic" {
		cmd.Env = append(cmd.Env, "TEST_CONSUMER_GROUP_PROTOCOL="+r.protocol)
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("test-runner %v ended: %v", env, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
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

// testNumbers returns the numbers of all tests except the manual ones.
func testNumbers(path string) ([]string, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var numbers []string
	for _, m := range regexp.MustCompile(`(?m)^    _TEST\((\d{4})_`).FindAllStringSubmatch(string(source), -1) {
		if !slices.Contains(numbers, m[1]) && m[1] < "8000" {
			numbers = append(numbers, m[1])
		}
	}
	if len(numbers) < 100 {
		return nil, fmt.Errorf("find the tests of %s: only %v", path, numbers)
	}
	return numbers, nil
}
