// Package metadata is the applied truth: the basic types, the commit entry and its
// encoding, the pure State that every broker computes from the log, the interface
// of that log, the Replica that follows it, and the maintenance that keeps it short
// (archives, checkpoints, ticks, dead sessions).
//
//	Log (etcd) --- Follow ---> Replica --- Apply ---> State
//	   ^                         |  |                   |  View, Observe, Expect
//	   | Append                  |  +-- inline bytes    v
//	   wal, Maintenance            +-- archives         broker, router, wal, s3stream
//
// Who owns what: the Replica's goroutine alone changes its State; a Maintenance
// belongs to one session and writes only under the roles it holds. Everything here
// is pure except replica.go, replay.go, waiters.go, maintenance*.go and the
// in-memory log.
//
// A command is one type and one row of the table in commands.go.
//
// What is fatal: an entry, archive or checkpoint that is damaged, a state that
// differs from another broker's, a log that went back in time.
package metadata
