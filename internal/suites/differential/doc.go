// Package differential compares zonewise with Apache Kafka, request by request
// (build tag differential; `make suite-differential`).
//
// It starts one broker of Apache Kafka 4.4.0 and one of `zonewise dev`, plays
// every scenario of internal/oracle/scenarios to both, then scenarios that a
// seeded generator draws, and fails for each difference that
// internal/oracle/allowed.yaml does not explain. What generated scenarios find
// is made small and printed as a scenario file. TestClientsMeetTheAllowedDifferences
// has franz-go meet what the list allows, at both.
//
// Environment: DURATION of generated requests (2m; an hour for a full run),
// SEED (else drawn and printed), SUITE_REPORT=docs/compatibility.md to write
// the document's sections. Needs java 17 and mvn.
package differential
