//go:build external

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const (
	aiokafkaVersion    = "0.14.0"
	aiokafkaRepository = "https://github.com/aio-libs/aiokafka"
	aiokafkaLimit      = 30 * time.Minute
)

// aiokafka's tests: its client, admin, consumer, producer, groups and transactions
// over asyncio. SUITE_RUN is pytest's -k. No package contains the tests: they come by
// git, from SUITE_SOURCES if that names a clone.
func TestAiokafka(t *testing.T) {
	folder, err := installAiokafka()
	if err != nil {
		t.Fatal(err)
	}
	on := openForAiokafka(t)
	report := filepath.Join(t.TempDir(), "report.xml")
	args := []string{"-m", "pytest", "-p", "no:cacheprovider", "--tb=short", "--timeout", "300", "-v", "--junitxml=" + report,
		"-m", "not ssl", "--ignore", "tests/test_sasl.py", "tests"}
	run := os.Getenv("SUITE_RUN")
	if run != "" {
		args = append(args, "-k", run)
	}
	ctx, cancel := context.WithTimeout(context.Background(), aiokafkaLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(folder, "venv", "bin", "python"), args...)
	cmd.Dir = filepath.Join(folder, "src")
	cmd.Env = append(os.Environ(), "KAFKA_ADDRESS="+on.bootstrap[0], "PYTHONDONTWRITEBYTECODE=1")
	body := runReported(t, cmd, report)
	var known []knownFailure
	if on.name == "zonewise" {
		known = aiokafkaReasons()
	}
	v, err := pytestVerdicts(body, known)
	if err != nil {
		t.Fatal(err)
	}
	v.skipped = withoutParameters(v.skipped)
	version, least := "aiokafka "+aiokafkaVersion+" tests, with those that need no broker", 500
	if run != "" {
		version, least = version+", "+run, 1
	} else {
		v.skipped = append(v.skipped, "test_sasl.py, 18 tests: "+saslLater, "tests marked ssl, 2 tests: TLS of Kafka's listeners comes with an issue of its own")
	}
	writeReport(t, "aiokafka", version, on, v)
	checkResult(t, v, least)
}

// openForAiokafka starts three zones, or the single broker of Apache Kafka with id 0
// for which the tests are written.
func openForAiokafka(t *testing.T) target {
	t.Helper()
	return openWithKafka(t, kafkaoracle.Options{FromZero: true, Properties: map[string]string{"num.partitions": "2", "group.initial.rebalance.delay.ms": "0"}},
		"--default-partitions", "2", "--group-initial-rebalance-delay", "0s")
}

// aiokafkaReasons are the known failures, with their exact texts.
func aiokafkaReasons() []knownFailure {
	const one = "the test is of a cluster of one broker"
	return []knownFailure{
		{"TestAdmin.test_describe_cluster", "too many values to unpack (expected 1)", one},
		{"TestAdmin.test_describe_configs_broker", "too many values to unpack (expected 1)", one},
		{"TestAdmin.test_metadata", "assert 3 == 1", one},
	}
}

// withoutParameters puts the tests without parameters into one line: their request
// has no fields of the kind.
func withoutParameters(skipped []string) []string {
	none := 0
	out := slices.DeleteFunc(slices.Clone(skipped), func(line string) bool {
		empty := strings.Contains(line, ": got empty parameter set")
		if empty {
			none++
		}
		return empty
	})
	if none > 0 {
		out = append(out, fmt.Sprintf("test_protocol, %d tests: got empty parameter set", none))
	}
	return out
}

// installAiokafka returns a folder with the tests in src/tests and, in venv, a Python
// with the client and what its tests import.
func installAiokafka() (string, error) {
	root, err := devserver.Repository()
	if err != nil {
		return "", err
	}
	tool := filepath.Join(root, "test", "tools", "aiokafka")
	return fillCached("aiokafka-"+aiokafkaVersion, func(folder string) error {
		source := filepath.Join(folder, "src")
		if err := errors.Join(
			runCommand(folder, "git", "clone", "--quiet", "--depth", "1", "--branch", "v"+aiokafkaVersion, envOr("SUITE_SOURCES", aiokafkaRepository), source),
			runCommand(folder, "python3", "-m", "venv", "venv")); err != nil {
			return err
		}
		conftest, err := os.ReadFile(filepath.Join(tool, "conftest.py"))
		return errors.Join(err,
			runCommand(tool, filepath.Join(folder, "venv", "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--requirement", "requirements.txt"),
			os.WriteFile(filepath.Join(source, "tests", "conftest.py"), conftest, 0o644),
			// It would hide the installed one, which has compiled codecs.
			os.RemoveAll(filepath.Join(source, "aiokafka")))
	})
}
