// Package external runs test suites of other projects against zonewise: three brokers
// in three zones of one `zonewise dev`, or one or five brokers if a suite is written
// for that.
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
//	make suite-lists        transactional list-append like Jepsen's (our own; test/listappend checks)
//
// All except the last obtain their suite from a package registry, or by git if no
// package contains the tests ("from its repository"), from SUITE_SOURCES if that names
// a clone. Each writes its result into docs/compatibility.md, with the reason that
// each failed or skipped test printed. SUITE_TARGET=kafka runs the same against
// Apache Kafka (kafkaoracle.Version), which shows tests that fail everywhere.
// SUITE_RECORDS, SUITE_RUN and SUITE_CHAOS change how much of a suite runs.
package external
