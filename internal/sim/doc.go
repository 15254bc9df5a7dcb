// Package sim runs the whole service in one testing/synctest bubble: several
// brokers in several zones, built by package node as the commands build them,
// over the real etcdlog on a fake etcd and a bucket in memory that delays,
// fails, loses answers and lands requests late. Clients speak the raw Kafka
// protocol over a virtual network. A checker holds what was acknowledged
// against what can be read: promises 1 to 7, and of transactions that each is
// seen whole or not at all, by nobody before its end, and ends.
//
//	Run(seed) -> world (etcd, bucket, network) -> processes (kill, restart, cut)
//	          -> producers, readers, a committer, apps -> history -> checks
//
// The fate of every request is a function of the seed and of what the request
// is, never of the order in which requests arrive; every delay is drawn to the
// nanosecond, and no two effects have the same one. So a seed replays: a test
// runs some twice and compares traces.
package sim
