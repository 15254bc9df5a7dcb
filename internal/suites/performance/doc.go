// Package performance measures zonewise on the machine it runs on: real brokers
// and etcd processes, a real S3 server, and Apache Kafka beside them (build tag
// performance; `make bench-kafka`, `make bench-service`).
//
// A measurement is no test of time: it fails only where the service does not do
// its work. Figures are printed by lines that begin with MEASURED, and go into
// the file that ZONEWISE_REPORT names (docs/benchmarks.md), each into its own
// section. ZONEWISE_PERFORMANCE=full runs as long as the aims say; without it a
// run is shorter, and its section says how long it was.
package performance
