// Package oracle replays the same requests against two Kafka brokers and reports
// where their responses differ.
//
//	scenarios/*.txt ──Parse──▶ Scenario ──Run──▶ []Exchange of Kafka    ─┐
//	Generator(seed) ──────────▶    "    ──Run──▶ []Exchange of zonewise ─┴─Compare──▶ []Difference
//	                                                                                      │
//	allowed.yaml (API, field, condition, reason) ──────────────────────────────Split──▶ unexplained
//
// A scenario is text: requests by API, version and fields, with variables for
// values that a broker chooses (topic ids, producer ids, member ids). Responses are
// decoded, every field is normalised by the rules in rules.go, and a remaining
// difference is a Difference. allowed.yaml lists the intended differences with their
// reasons; no others are accepted.
//
// Owner: a Runner owns the connections of one scenario to one broker. This package
// starts no brokers; test/suites/differential does.
package oracle
