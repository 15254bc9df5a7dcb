//go:build external

package external

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
)

const (
	confluentPythonVersion    = "2.15.0"
	confluentPythonRepository = "https://github.com/confluentinc/confluent-kafka-python"
	confluentPythonLimit      = 30 * time.Minute // of one protocol
)

// confluent-kafka-python's integration tests, with the classic and the new consumer
// protocol. SUITE_PROTOCOL selects one, SUITE_RUN is pytest's -k. No package contains
// the tests: they come by git, from SUITE_SOURCES if that names a clone.
func TestConfluentPython(t *testing.T) {
	folder, err := installConfluentPython()
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range strings.Split(envOr("SUITE_PROTOCOL", "classic,consumer"), ",") {
		t.Run(protocol, func(t *testing.T) {
			// A member has four seconds from joining to its first record.
			on := openWith(t, map[string]string{"num.partitions": "4", "auto.create.topics.enable": "true", "group.initial.rebalance.delay.ms": "0"},
				"--default-partitions", "4", "--auto-create-topics=true", "--group-initial-rebalance-delay", "0s")
			output, report := runPytest(t, folder, protocol, on)
			v, err := pytestVerdicts(report, confluentPythonDesigns())
			if err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			keepMore(t, protocol, output)
			version := fmt.Sprintf("confluent-kafka-python %s, tests/integration but %s, %s protocol", confluentPythonVersion, countExcluded(t, folder), protocol)
			least := 25
			if run := os.Getenv("SUITE_RUN"); run != "" {
				version, least = version+", "+run, 1
			}
			writeReport(t, "confluent-python "+protocol, version, on, v)
			checkResult(t, v, least)
		})
	}
}

// installConfluentPython returns a folder with the sources in src and, in venv, a
// Python with the client and its tests' dependencies.
func installConfluentPython() (string, error) {
	root, err := devserver.Repository()
	if err != nil {
		return "", err
	}
	pins := filepath.Join(root, "test", "tools", "confluent-python", "requirements.txt")
	return fillCached("confluent-python-"+confluentPythonVersion, func(folder string) error {
		source, venv := filepath.Join(folder, "src"), filepath.Join(folder, "venv")
		if err := errors.Join(
			runCommand(folder, "git", "clone", "--quiet", "--depth", "1", "--branch", "v"+confluentPythonVersion, envOr("SUITE_SOURCES", confluentPythonRepository), source),
			runCommand(folder, "python3", "-m", "venv", venv)); err != nil {
			return err
		}
		trivup, err := filepath.Glob(filepath.Join(source, "tests", "trivup", "trivup-*.tar.gz"))
		if err != nil || len(trivup) != 1 {
			return fmt.Errorf("find trivup in the sources: %v: %w", trivup, err)
		}
		pip := []string{"install", "--quiet", "--disable-pip-version-check"}
		return errors.Join(
			runCommand(folder, filepath.Join(venv, "bin", "pip"), append(pip, "--only-binary", ":all:", "--requirement", pins)...),
			runCommand(folder, filepath.Join(venv, "bin", "pip"), append(pip, trivup[0])...))
	})
}

// excludedFolders are folders of tests that do not run, with the reasons.
func excludedFolders() map[string]string {
	return map[string]string{
		"admin/test_describe_operations.py": "starts a Kafka of its own with SASL and ACLs; " + aclsLater,
		"schema_registry":                   "about Confluent's registry, not about a broker",
		"share_consumer":                    shareGroupsLater,
		"share_consumer_oauth":              shareGroupsLater,
		"share_consumer_sasl":               shareGroupsLater,
	}
}

// countExcluded counts the tests that do not run.
func countExcluded(t *testing.T, folder string) string {
	t.Helper()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(excludedFolders())) {
		out, err := pythonCommand(context.Background(), folder, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", "tests/integration/"+name).Output()
		if err != nil {
			t.Fatalf("collect the tests of %s: %v\n%s", name, err, out)
		}
		parts = append(parts, fmt.Sprintf("%d of %s (%s)", strings.Count(string(out), "::"), name, excludedFolders()[name]))
	}
	return strings.Join(parts, ", ")
}

// pythonCommand runs the environment's Python in the folder of the sources.
func pythonCommand(ctx context.Context, folder string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(folder, "venv", "bin", "python"), args...)
	cmd.Dir = filepath.Join(folder, "src")
	return cmd
}

// runPytest returns pytest's output and its report.
func runPytest(t *testing.T, folder, protocol string, on target) (output string, report []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.xml")
	args := []string{"-m", "pytest", "-p", "no:cacheprovider", "--timeout", "300", "-v", "--junitxml", path, "tests/integration"}
	for name := range excludedFolders() {
		args = append(args, "--ignore", "tests/integration/"+name)
	}
	if run := os.Getenv("SUITE_RUN"); run != "" {
		args = append(args, "-k", run)
	}
	ctx, cancel := context.WithTimeout(context.Background(), confluentPythonLimit)
	defer cancel()
	cmd := pythonCommand(ctx, folder, args...)
	cmd.Env = append(os.Environ(), "BROKERS="+strings.Join(on.bootstrap, ","), "TEST_CONSUMER_GROUP_PROTOCOL="+protocol)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("pytest ended: %v", err)
	}
	report, err = os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out), report
}

// confluentPythonDesigns are the failures whose reason is known.
func confluentPythonDesigns() []knownFailure {
	return []knownFailure{
		{"test_basic_operations.", "ACLs Admin API (KIP-140) not supported by broker", "its last part wants ACLs; " + aclsLater},
		{"test_user_scram_credentials.", "DescribeUserScramCredentials API (KIP-554) not supported by broker", scramLater},
		{"test_incremental_alter_configs.", "!= 'min.insync.replicas=\"1\"'",
			"the test is of clusters with eligible leader replicas, which set min.insync.replicas for the cluster: here it is a default"},
	}
}
