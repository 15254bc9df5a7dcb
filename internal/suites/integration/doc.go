// Package integration drives a whole cluster of real processes: three members
// of etcd that sync their disk, an S3 server, brokers in three zones, and
// clients of two families (build tag integration; `make integration`).
//
// How long the runs are is set by ZONEWISE_INTEGRATION: "short" (the default,
// about twelve minutes in all) or "full". What was measured is printed by lines
// that begin with MEASURED.
package integration
