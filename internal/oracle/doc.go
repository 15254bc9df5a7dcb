// Package oracle replays the same requests against two Kafka brokers and says
// where their answers differ.
//
//	scenarios/*.txt ──Parse──▶ Scenario ──Run──▶ []Exchange of Kafka    ─┐
//	Generator(seed) ──────────▶    "    ──Run──▶ []Exchange of zonewise ─┴─Compare──▶ []Difference
//	                                                                                      │
//	allowed.yaml (API, field, condition, reason) ──────────────────────────────Split──▶ unexplained
//
// A scenario is text: requests by API, version and fields, with variables for
// what a broker invents (topic ids, producer ids, member ids). Answers are
// decoded, every field is normalised by one of the rules in rules.go, and what
// then differs is a Difference. allowed.yaml lists the differences that are
// meant, and why; nothing else is accepted.
//
// Owner: a Runner owns the connections of one scenario to one broker. Nothing
// here starts brokers; internal/suites/differential does.
package oracle
