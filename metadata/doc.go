// Package metadata is the applied truth: the nouns, the commit entry and its
// encoding, the pure State that every broker computes from the log, the door
// to that log, the Replica that follows it, and the care that keeps it short
// (archives, checkpoints, ticks, dead sessions).
//
//	Log (etcd) --- Follow ---> Replica --- Apply ---> State
//	   ^                         |  |                   |  View, Observe, Expect
//	   | Append                  |  +-- pins, archives  v
//	   wal, Maintenance            +-- checkpoints      broker, router, wal, s3stream
//
// Who owns what: the Replica's goroutine alone changes its State; a Maintenance
// belongs to one session and writes only what its roles let it; everything
// here is pure but for replica.go, replay.go, waiters.go, custodian*.go and
// the in-memory log.
//
// What is fatal: an entry, archive or checkpoint that is damaged, a state that
// differs from another broker's, a log that went back in time.
package metadata
