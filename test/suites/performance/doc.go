// Package performance measures zonewise on the machine it runs on: real brokers
// and etcd processes, a real S3 server, and Apache Kafka for comparison (build
// tag performance; `make bench-kafka`, `make bench-service`).
//
// A measurement does not assert times: it fails only if the service does not
// work. Figures are printed on lines that begin with MEASURED, and written to
// the file that ZONEWISE_REPORT names (docs/benchmarks.md), each to its own
// section. ZONEWISE_PERFORMANCE=full runs for the full durations of the aims;
// without it a run is shorter, and its section states the duration.
package performance
