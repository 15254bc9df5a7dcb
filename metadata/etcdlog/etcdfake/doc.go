// Package etcdfake is etcd in memory, as far as package etcdlog uses it: a
// store with history (MVCC), txns with comparisons and nested txns, leases
// that expire, watches, compaction. One test of etcdlog runs the same random
// operations on it and on the real etcd.
//
//	Store ── all data, behind one mutex that is never held while waiting
//	  ├ Client("a", "dev-a") ── each call: delay ▸ effect ▸ delay ▸ response, where
//	  ├ Client("b", "dev-b")    a CallOutcome may lose, fail, or delay each of them
//	  └ ...
//
// The outcome of a call is a function of the seed, the client's name, the
// operation, the key and how often the client sent the same before: never of
// the order in which calls arrive. Delays are random to the nanosecond, so that
// no two events share an instant. It runs inside a testing/synctest bubble:
// only time.Sleep, channels and WaitGroups wait. Close waits for every
// goroutine that the store started.
package etcdfake
