// Package sim runs the whole service in one testing/synctest bubble: several
// brokers in several zones, built by package node as the commands build them,
// over the real etcdlog on a fake etcd and a bucket in memory that delays,
// fails, loses responses and executes requests late. Clients speak the raw Kafka
// protocol over a virtual network. A checker compares what was acknowledged with
// what can be read: promises 1 to 7, and that each transaction is visible
// completely or not at all, not before its end, and ends.
//
//	Run(seed) -> world (etcd, bucket, network) -> processes (kill, restart, cut)
//	          -> producers, readers, a committer, apps -> history -> checks
//
// The outcome of every request is a function of the seed and of the request's
// content, never of the order in which requests arrive. Every delay is generated
// with a resolution of a nanosecond, and no two effects happen in the same
// nanosecond. So a seed replays: a test runs some twice and compares traces.
package sim
