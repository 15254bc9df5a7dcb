//go:build external

package external

import (
	"fmt"
	"strings"
)

// knownFailure is a failure that follows from zonewise's design. Its message must
// match, otherwise it is a failure like any other.
type knownFailure struct{ test, message, reason string }

const (
	reassigned   = "replicas are synthetic: a reassignment succeeds and moves nothing"
	synthetic    = "replicas are synthetic: a hash chooses their brokers, one per zone"
	ranked       = "a broker always has a rack, its zone, and one that is gone is not listed as fenced"
	unclean      = "every broker serves every partition: none is without a leader while one runs, and where is a hash's word"
	internal     = "positions and transactions are in the log: Kafka's internal topics hold nothing"
	oneLogDir    = "a broker has one log directory, the bucket: there is no second to move to"
	noFiles      = "broker internals: the test damages a file of a segment"
	laterConfigs = "configs are returned as by Apache Kafka 4.4, the test is of an earlier version"
	recovered    = "a broker that is the last to drain names those that drain too, so a client knows the broker that comes back"
)

// junitKnownFailures returns the known failures; docs/compatibility-notes.md has each.
func junitKnownFailures() []knownFailure {
	return []knownFailure{
		{"ListOffsetsIntegrationTest.", "expected leader: ", reassigned},
		{"ProducerSendWhileDeletionTest.testSendWithTopicReassignmentIsMidWay", "Waiting for leader to become ", reassigned},
		{"PlaintextAdminIntegrationTest.testDeleteRecordsAfterCorruptRecords", "", noFiles},
		{"PlaintextAdminIntegrationTest.testCreateDeleteTopics", "expected: <1> but was: <3>", synthetic},
		{"ClientRebootstrapTest.testAdminRebootstrapDisabled", "nothing was thrown", recovered},
		{"ClientRebootstrapTest.testProducerRebootstrapDisabled", "nothing was thrown", recovered},
		{"DescribeProducersWithBrokerIdTest.testDescribeProducersWithInvalidBrokerId", "nothing was thrown", "every broker serves every partition, replica or not"},
		{"ConsumerBounceTest.testAsyncClose", "OffsetAndMetadata.offset()", "fails at Apache Kafka 4.3.1 too, where a coordinator that stops leads the partition: a position that is not validated is not committed"},
		{"ConsumerIntegrationTest.testLeaderEpoch", "expected: <1> but was: <0>", "records never diverge: those of a partition have one leader epoch, whoever leads"},
		{"RackAwareAutoTopicCreationTest.testAutoCreateTopic", "Replica count is not even", synthetic},
		{"AutoTopicCreationTest.testAutoCreateTopicWithDefaultConfig", "default.replication.factor of 1", "the default replication factor is the number of zones"},
		{"ProducerFailureHandlingTest.testNotEnoughReplicasAfterBrokerShutdown", "nothing was thrown", "records are durable in the bucket: min.insync.replicas has no meaning"},
		{"ConfigCommandIntegrationTest.test", "config listener.name.internal.ssl.", "listeners have no TLS yet: it comes with an issue of its own"},
		{"ConfigCommandIntegrationTest.testExitWithNonZeroStatusOnUpdatingUnallowedConfig", "--add-config security.inter.broker.protocol=PLAINTEXT", laterConfigs},
		{"StaticBrokerConfigTest.testInternalConfigsDoNotReturnForCreateTopics", "'errors.deadletterqueue.group.enable' should not be null", laterConfigs},
		{"DynamicGroupConfigIntegrationTest.testDescribeGroupConfigSynonymsWithStaticBrokerConfig", "expected: <2000> but was: <1000>", "an assignment is made as soon as it is needed: a broker has no setting for it"},
		{"ConfigCommandIntegrationTest.testNullStatusOnKraftCommandAlterGroup", "expected: <true> but was: <false>", laterConfigs},
		{"LogDirsCommandTest.testLogDirsWithBrokers", "expected: <true> but was: <false>", "one broker reports each partition, so that the sum is what is stored"},
		{"ClusterToolTest.testListEndpoints", "but was: <ID HOST PORT RACK", ranked},
		{"MetadataVersionIntegrationTest.testDefaultIsLatestVersion", "expected: <31> but was: <27>", "metadata.version is what Apache Kafka 4.1 has, the test is of a later Kafka"},
		{"ClientRebootstrapTest.testProducerRebootstrap[", "expected: <0> but was: <1>", "nothing acknowledged is lost: the test counts on an unclean election that loses the first record"},
		{"TopicCommandTest.testDescribeUnderReplicatedPartitionsWhenReassignmentIsInProgress", "timed out", reassigned},
		{"TopicCommandTest.testDescribeUnavailablePartitions", "Unexpected Topic received", "every broker serves every partition: none is unavailable when one ends"},
		{"TopicCommandTest.testCreateAlterTopicWithRackAware", "count is not even", synthetic},
		{"TopicCommandTest.testCreateWithReplicaAssignment", "Unexpected replica assignment", synthetic},
		{"TopicCommandTest.testAlterAssignment", "Expected to have replicas", synthetic},
		{"ReassignPartitionsCommandTest.test", "verifyAssignment result", reassigned},
		{"ReassignPartitionsCommandTest.testThrottledReassignment", "tools.reassign.VerifyAssignmentResult@", synthetic},
		{"ReassignPartitionsCommandTest.testCancellationWithAdding", "to join the ISR", reassigned},
		{"ReassignPartitionsCommandTest.testAlterLogDirReassignmentThrottle", "No value present", oneLogDir},
		{"ReassignPartitionsCommandTest.testLogDirReassignment", "No value present", oneLogDir},
		{"BrokerApiVersionsCommandTest.", "rack: null", ranked},
		{"LeaderElectionCommandTest.", "Timed out waiting for leader to become Some(", unclean},
		{"LeaderElectionCommandTest.", "Timed out waiting for leader to become None", unclean},
		{"ConsoleConsumerTest.test", "MessageFormatter(org.apache.kafka.common.test.ClusterInstance) timed out after 60 seconds", internal},
	}
}

func knownReason(list []knownFailure, test, said string) string {
	for _, d := range list {
		if strings.HasPrefix(test, d.test) && strings.Contains(said, d.message) {
			return d.reason
		}
	}
	return ""
}

// foldByClass puts tests of one class with the same reason into one line, so that a
// report of hundreds stays readable.
func foldByClass(list []string) []string {
	type key struct{ class, reason string }
	names := map[key][]string{}
	keyOf := func(line string) (key, string) {
		name, reason, ok := strings.Cut(line, ": ")
		class, method, dotted := strings.Cut(name, ".")
		if !ok || !dotted {
			return key{line, ""}, line
		}
		return key{class, reason}, method
	}
	for _, line := range list {
		k, name := keyOf(line)
		names[k] = append(names[k], name)
	}
	var out []string
	for _, line := range list {
		k, _ := keyOf(line)
		switch all := names[k]; {
		case len(all) == 0: // reported with the first
		case len(all) == 1:
			out = append(out, line)
		default:
			out = append(out, fmt.Sprintf("%s, %d tests (%s): %s", k.class, len(all), strings.Join(all, ", "), k.reason))
		}
		delete(names, k)
	}
	return out
}
