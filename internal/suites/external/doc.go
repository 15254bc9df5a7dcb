// Package external runs suites that other people wrote for Kafka against
// zonewise: three brokers in three zones of one `zonewise dev`, or one broker
// where a suite is written for one, or five where one is written for five.
//
//	make suite-kgo          franz-go's own tests of its client (from its Go module)
//	make suite-kafka-go     segmentio/kafka-go's tests (from its Go module)
//	make suite-kafka-python kafka-python's integration tests (sources from PyPI)
//	make suite-librdkafka   librdkafka's test-runner (sources from an npm package)
//	make suite-confluent-python
//	                        confluent-kafka-python's integration tests (from its repository)
//	make suite-aiokafka     aiokafka's tests (from its repository)
//	make suite-kafkajs      kafkajs' tests (from its repository)
//	make suite-confluent-go confluent-kafka-go's integration tests (from its repository)
//	make suite-sarama       Sarama's functional tests (from its Go module), five brokers behind toxiproxy
//	make suite-mains        programs of Apache Kafka's own tests (Maven jars)
//	make suite-junit        Apache Kafka's own integration tests of its clients and tools (Maven jars)
//	make suite-lists        transactional list-append in Jepsen's manner (ours; internal/listappend judges)
//
// Each of the others obtains its suite from a package registry, but for those
// whose tests are in none (from its repository): they come by git, from
// SUITE_SOURCES if that names a clone. Each leaves what came of it in
// docs/compatibility.md, each failure and skip with the reason that it printed.
// SUITE_TARGET=kafka runs the same against Apache Kafka (kafkaoracle.Version), so that a test
// that fails everywhere is known; SUITE_RECORDS, SUITE_RUN and SUITE_CHAOS
// change how much of a suite runs.
package external
