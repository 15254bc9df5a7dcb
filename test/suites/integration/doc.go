// Package integration drives a whole cluster of real processes: three members
// of etcd that sync their disk, an S3 server, brokers in three zones, and
// clients of two families (build tag integration; `make integration`).
//
// ZONEWISE_INTEGRATION sets the duration of the runs: "short" (the default, about
// twelve minutes in all) or "full". Measurements are printed on lines that begin with
// MEASURED.
package integration
