//go:build external

package external

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	confluentGoVersion    = "2.15.0"
	confluentGoModule     = "github.com/confluentinc/confluent-kafka-go/v2"
	confluentGoRepository = "https://github.com/confluentinc/confluent-kafka-go"
	confluentGoLimit      = 25 * time.Minute // of one protocol
)

// confluent-kafka-go's integration tests, with the classic and the new consumer
// protocol. SUITE_PROTOCOL selects one, SUITE_RUN is go test's -run. The client is
// its Go module; no proxy has the module of the tests, so they come by git, from
// SUITE_SOURCES if that names a clone.
func TestConfluentGo(t *testing.T) {
	folder, err := installConfluentGo()
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range strings.Split(envOr("SUITE_PROTOCOL", "classic,consumer"), ",") {
		t.Run(protocol, func(t *testing.T) {
			on := openWith(t, map[string]string{"num.partitions": "4", "group.initial.rebalance.delay.ms": "0"},
				"--default-partitions", "4", "--group-initial-rebalance-delay", "0s")
			tests := filepath.Join(folder, "src", "kafka", "integration")
			config := fmt.Sprintf(`{"Brokers": %q, "TopicName": "test", "GroupID": "testgroup", "Config": ["api.version.request=true"]}`, strings.Join(on.bootstrap, ","))
			if err := os.WriteFile(filepath.Join(tests, "testconf.json"), []byte(config), 0o644); err != nil {
				t.Fatal(err)
			}
			s := goSuite{pkg: confluentGoModule, limit: confluentGoLimit, env: []string{"TEST_CONSUMER_GROUP_PROTOCOL=" + protocol}}
			run := func(args ...string) suiteResult {
				out := s.runProcess(t, filepath.Join(folder, "integration.test"), tests, args...)
				keepMore(t, fmt.Sprint(protocol, len(args)), out)
				v := goVerdicts(out)
				v.explainKnown(confluentGoReasons(on))
				return v
			}
			v := run()
			v.tryAgain(run)
			version, least := fmt.Sprintf("confluent-kafka-go v%s kafka/integration, %s protocol", confluentGoVersion, protocol), 35
			if only := os.Getenv("SUITE_RUN"); only != "" {
				version, least = version+", "+only, 1
			}
			writeReport(t, "confluent-kafka-go "+protocol, version, on, v)
			checkResult(t, v, least)
		})
	}
}

// confluentGoReasons are the known failures, with their exact texts.
func confluentGoReasons(on target) []knownFailure {
	both := []knownFailure{{"TestParallelConsumerCloses", "Operation not allowed on closed client",
		"runs on the client's own mock, without a broker, and fails where the first of two closes ends before the second begins"}}
	if on.name != "zonewise" {
		return both
	}
	return append(both, []knownFailure{
		{"TestIntegration/TestAdminACLs", "ACLs Admin API (KIP-140) not supported by broker", aclsLater},
		{"TestIntegration/TestAdminClient_UserScramCredentials", "DescribeUserScramCredentials API (KIP-554) not supported by broker", scramLater},
		{"TestIntegration/TestAdminTopics", `expected "Broker: Invalid replication factor", got "Success"`,
			"replicas are synthetic: any replication factor from 1 on is taken"},
		{"TestTransactionalProducer", "Flush() failed: 10 messages still not delivered",
			"the client's Flush(-1) does not wait; here the two requests of offsets before it are answered in 2 ms, when it has not sent a record yet"},
	}...)
}

// installConfluentGo returns a folder with the tests in src/kafka/integration, and
// compiled in integration.test.
func installConfluentGo() (string, error) {
	return fillCached("confluent-kafka-go-"+confluentGoVersion, func(folder string) error {
		source := filepath.Join(folder, "src")
		tests := filepath.Join(source, "kafka", "integration")
		// The whole repository is large: it contains librdkafka for every platform.
		if err := errors.Join(
			runCommand(folder, "git", "clone", "--quiet", "--no-checkout", "--depth", "1", "--filter=blob:none", "--branch", "v"+confluentGoVersion,
				envOr("SUITE_SOURCES", confluentGoRepository), source),
			runCommand(source, "git", "checkout", "--quiet", "v"+confluentGoVersion, "--", "kafka/integration")); err != nil {
			return err
		}
		return errors.Join(
			runCommand(tests, "go", "mod", "edit", "-dropreplace", confluentGoModule, "-require", confluentGoModule+"@v"+confluentGoVersion),
			runCommand(tests, "go", "test", "-mod=mod", "-c", "-o", filepath.Join(folder, "integration.test"), "."))
	})
}
