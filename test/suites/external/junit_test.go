//go:build external

package external

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/cluster"
	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

// junitPart is one jar of Apache Kafka's tests, with what it needs.
type junitPart struct {
	name    string
	version string
	jar     string // the tests, without version and ending
	pom     string // in test/tools/kafka-junit
	least   int    // minimum of passed tests in a whole run
	classes string // regular expression
	run     string // regular expression of Class.method, if SUITE_RUN is empty
}

// Maven has the client integration tests in one version only. Of the core module, most
// tests look into brokers of their own process: what is deleted is asked for here.
var junitParts = []junitPart{
	{"clients", "4.3.1", "kafka-clients-integration-tests", "pom-clients.xml", 200, ".*", ""},
	{"tools", "4.1.1", "kafka-tools", "pom-tools.xml", 80, ".*", ""},
	{"core", "4.3.1", "kafka_2.13", "pom-clients.xml", 10, "kafka[.]api[.]PlaintextAdminIntegrationTest", "DeleteRecords|LogStartOffset|DeleteTopics"},
}

const junitLimit = 100 * time.Minute

// wholeRun is listed as a failed test if a run was cut short.
const wholeRun = "the run"

// Apache Kafka's own integration tests of its clients and tools, as published, with
// our ClusterInstance in place of Kafka's: every test gets fresh zonewise processes
// (test/tools/kafka-junit). Tests that need a broker's internals, a setting that
// zonewise does not have, or a feature of a later issue are skipped with the reason.
// SUITE_RUN is a regular expression of Class.method. With SUITE_TARGET=kafka, Kafka's
// provider runs the same tests on Kafka's brokers, in the same process.
func TestJUnit(t *testing.T) {
	for _, p := range junitParts {
		t.Run(p.name, func(t *testing.T) {
			on := target{name: "zonewise"}
			if os.Getenv("SUITE_TARGET") == "kafka" {
				on.name = "Apache Kafka " + p.version
			}
			run := os.Getenv("SUITE_RUN")
			if run == "" {
				run = p.run
			}
			v := p.runPart(t, on.name != "zonewise", run)
			p.rerunFailed(t, on.name != "zonewise", &v)
			version, least := fmt.Sprintf("Apache Kafka %s %s (JUnit)", p.version, p.jar), p.least
			if run := os.Getenv("SUITE_RUN"); run != "" {
				version, least = version+", "+run, 1
				t.Setenv("SUITE_REPORT", "") // keeps the section of a whole run
			}
			if v.passed == 0 {
				t.Fatalf("nothing passed, so nothing is recorded: %v", foldByClass(v.failed))
			}
			writeReport(t, "junit-"+p.name, version, on, v)
			checkResult(t, v, least)
		})
	}
}

// rerunFailed repeats only the failed tests, as Kafka's own build does: many of these
// tests depend on timing on a shared machine. Tests that then pass are reported as
// such, with their first failure.
func (p *junitPart) rerunFailed(t *testing.T, beside bool, v *suiteResult) {
	t.Helper()
	if len(v.failed) == 0 || len(v.failed) > maxRetries {
		return
	}
	var names []string
	for _, f := range v.failed {
		name, _, _ := strings.Cut(f, ":")
		if name == wholeRun {
			return // a run that was cut short may hide more failures
		}
		name, _, _ = strings.Cut(name, "[")
		names = append(names, regexp.QuoteMeta(name))
	}
	v.mergeRetry(p.runPart(t, beside, "("+strings.Join(names, "|")+")$"))
}

func (p *junitPart) runPart(t *testing.T, beside bool, only string) suiteResult {
	t.Helper()
	root, err := devserver.Repository()
	if err != nil {
		t.Fatal(err)
	}
	tools := filepath.Join(root, "test", "tools", "kafka-junit")
	pom, err := os.ReadFile(filepath.Join(tools, p.pom))
	if err != nil {
		t.Fatal(err)
	}
	classes, err := kafkaoracle.Jars(pom)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	shim, verdictFile := filepath.Join(folder, "shim"), filepath.Join(folder, "verdicts")
	compileShim(t, filepath.Join(tools, "java"), classes, shim, !beside)
	program, err := cluster.Program(folder)
	if err != nil {
		t.Fatal(err)
	}
	block, release, err := cluster.ReserveBlock()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	args := []string{"-Xmx1g", "-cp", shim + ":" + classes, "-Dzonewise.run=" + only, fmt.Sprintf("-Dzonewise.beside=%v", beside),
		"-Dzonewise.program=" + program, fmt.Sprintf("-Dzonewise.addresses=127.%d", block), "-Dzonewise.folder=" + folder, "-Dzonewise.verdicts=" + verdictFile,
		"org.junit.platform.console.ConsoleLauncher", "execute", "--details=summary", "--include-classname=" + p.classes, "--include-tag=integration",
		// They need the tests of Connect and of Streams on the class path.
		"--exclude-classname=.*[.](ConnectPluginPathTest|ResetIntegration(WithSsl)?Test|.*StreamsGroup.*Test)",
		"--scan-classpath=" + filepath.Join(filepath.Dir(classes), p.jar+"-"+p.version+"-test.jar"), "--config=junit.jupiter.extensions.autodetection.enabled=true"}
	if !beside {
		args = append(args, "--config=junit.jupiter.extensions.autodetection.exclude=org.apache.kafka.common.test.junit.*")
	}
	ctx, cancel := context.WithTimeout(context.Background(), junitLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "java", args...)
	// The processes of a cluster die with the JVM (setpriv --pdeathsig).
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Dir = folder
	out, runErr := cmd.CombinedOutput()
	keepOutput(t, out)
	said, err := os.ReadFile(verdictFile)
	if err != nil {
		t.Fatalf("no test ran: %v\n%s", err, out[max(0, len(out)-4000):])
	}
	v := junitVerdicts(string(said))
	if !bytes.Contains(out, []byte(" tests successful")) {
		v.failed = append(v.failed, fmt.Sprintf("%s: it did not come to its end (%v)", wholeRun, runErr))
	}
	return v
}

// compileShim compiles our ClusterInstance, and the class that stands for Kafka's
// KafkaServerTestHarness if the tests are not to run on Kafka's own brokers.
func compileShim(t *testing.T, sources, classes, into string, harness bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(sources, "zonewise", "junit", "*.java"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources in %s: %v", sources, err)
	}
	if harness {
		files = append(files, filepath.Join(sources, "kafka", "integration", "KafkaServerTestHarness.java"))
	}
	if out, err := exec.Command("javac", append([]string{"-proc:none", "-d", into, "-cp", classes}, files...)...).CombinedOutput(); err != nil {
		t.Fatalf("compile the shim: %v\n%s", err, out)
	}
	if err := os.CopyFS(into, os.DirFS(sources)); err != nil {
		t.Fatal(err)
	}
}

// junitVerdicts reads the output of the shim's listener: verdict, name, milliseconds
// and reason of each test, separated by tabs.
func junitVerdicts(text string) suiteResult {
	var v suiteResult
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), "\t", 4)
		if len(f) < 4 {
			continue
		}
		if r := []rune(f[3]); len(r) > 300 {
			f[3] = string(r[:300]) + "..."
		}
		name := f[1] + ": " + f[3]
		switch f[0] {
		case "passed":
			v.passed++
		case "failed":
			if reason := knownReason(junitKnownFailures(), f[1], f[3]); reason != "" {
				v.skipped = append(v.skipped, f[1]+": differs by design: "+reason)
				continue
			}
			v.failed = append(v.failed, name)
		default:
			v.skipped = append(v.skipped, name)
		}
	}
	return v
}
