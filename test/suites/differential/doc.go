// Package differential compares zonewise with Apache Kafka, request by request
// (build tag differential; `make suite-differential`).
//
// It starts one broker of Apache Kafka 4.4.0 and one of `zonewise dev`, plays every
// scenario of test/oracle/scenarios to both, then scenarios from a seeded
// generator, and fails for each difference that test/oracle/allowed.yaml does not
// explain. Differences of generated scenarios are minimised and printed as scenario
// files. TestClientsMeetTheAllowedDifferences shows the allowed differences with
// franz-go against both. TestRetentionBesideKafka compares what a client sees of
// retention, DeleteRecords and deleted topics over time.
//
// Environment: DURATION of generated requests (2m; an hour for a full run), SEED
// (default: random, printed), SUITE_REPORT=docs/compatibility.md to write the
// document's sections. Needs java 17 and mvn.
package differential
