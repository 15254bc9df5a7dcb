//go:build external

package external

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const kafkaPythonVersion = "3.0.12"

// kafkaPythonReasons are the known failures, with their exact texts.
func kafkaPythonReasons() []knownFailure {
	return []knownFailure{
		{"test_admin_integration.test_create_describe_delete_acls", "does not support the 'DescribeAclsRequest'", aclsLater},
		{"test_admin_integration.test_describe_metadata_quorum", "does not support the 'DescribeQuorumRequest'", "there is no quorum of controllers"},
	}
}

// kafka-python's integration tests: admin, consumer and producer, in pure
// Python. Its tests of SASL and TLS start brokers of their own, with both.
func TestKafkaPython(t *testing.T) {
	folder, python, err := installKafkaPython()
	if err != nil {
		t.Fatal(err)
	}
	on := openForKafkaPython(t)
	report := filepath.Join(t.TempDir(), "report.xml")
	args := []string{"-m", "pytest", "-p", "no:cacheprovider", "--tb=short", "--show-capture=no", "--junitxml=" + report, "-k", envOr("SUITE_RUN", "test")}
	for _, part := range []string{"admin", "consumer", "producer"} {
		args = append(args, "test/integration/test_"+part+"_integration.py")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "KAFKA_URI=plaintext://"+on.bootstrap[0], "KAFKA_VERSION=4.1.1", "KAFKA_ROOT="+folder, "PYTHONDONTWRITEBYTECODE=1")
	body := runReported(t, cmd, report)
	var known []knownFailure
	if on.name == "zonewise" {
		known = kafkaPythonReasons()
	}
	v, err := pytestVerdicts(body, known)
	if err != nil {
		t.Fatal(err)
	}
	v.skipped = append(v.skipped, "test_sasl_integration.py: "+saslLater, "test_ssl_integration.py: TLS of Kafka's listeners comes with an issue of its own")
	writeReport(t, "kafka-python", "kafka-python "+kafkaPythonVersion+" test/integration", on, v)
	checkResult(t, v, 50)
}

// openForKafkaPython starts three zones, or the single broker of Apache Kafka with id 0
// for which the tests are written.
func openForKafkaPython(t *testing.T) target {
	t.Helper()
	return openWithKafka(t, kafkaoracle.Options{FromZero: true, Properties: map[string]string{"num.partitions": "4",
		"group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "0"}},
		"--default-partitions", "4", "--group-min-session-timeout", "1s", "--group-initial-rebalance-delay", "0s")
}

// installKafkaPython returns the folder of kafka-python's sources, from PyPI, and the
// Python with its tests' dependencies.
func installKafkaPython() (folder, python string, err error) {
	root, err := devserver.Repository()
	if err != nil {
		return "", "", err
	}
	tool := filepath.Join(root, "test", "tools", "kafka-python")
	folder, err = fillCached("kafka-python-"+kafkaPythonVersion, func(folder string) error {
		pip := filepath.Join(folder, "venv", "bin", "pip")
		err := runCommand(folder, "python3", "-m", "venv", "venv")
		if err == nil {
			err = runCommand(tool, pip, "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--requirement", "requirements.txt")
		}
		if err == nil {
			err = runCommand(folder, pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "kafka-python=="+kafkaPythonVersion)
		}
		if err == nil {
			err = runCommand(folder, "tar", "xzf", "kafka_python-"+kafkaPythonVersion+".tar.gz", "--strip-components=1")
		}
		if err != nil {
			return err
		}
		service, err := os.ReadFile(filepath.Join(tool, "service.py"))
		// It must be a package: the standard library also has one named test.
		return errors.Join(err, os.WriteFile(filepath.Join(folder, "test", "service.py"), service, 0o644),
			os.WriteFile(filepath.Join(folder, "test", "__init__.py"), nil, 0o644))
	})
	return folder, filepath.Join(folder, "venv", "bin", "python"), err
}
