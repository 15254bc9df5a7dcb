// Package hedge sends a request a second time when the first one is late, and a
// third time when two are. Object stores leave a few requests in a hundred
// unanswered for seconds, and a caller of one of those would wait for its
// timeout.
//
//	Hedger.Run --> try 0 --late--> turn (permit, FIFO) --still late?--> try 1 --> try 2
//	                 |                                                   |
//	                 +----------- the first to succeed wins <------------+
//
// Late is what takes longer than the p99 of recent single requests of its size,
// never more than MaxWait (latency.go). Only single requests are measured: not
// the pauses of a Retry, nor the time of an attempt that timed out. A request
// that the store answers with 503 is sent again by its Retry, not hedged.
//
// The cost is bounded twice: by permits for second requests in flight
// (Config.MaxHedges), and by one second request for every four first ones in the
// long run. Late requests wait for a permit in order, and are checked again
// when it is granted: those just past the p99 have been answered by then, and
// do not take the permits of those that hang. A request that lost its race uses
// no permit; it continues to its answer, so that its cost is known, without
// retries, and at most Config.MaxLosers of them at a time.
//
// Owners: Run owns a race, in its caller's goroutine, and has ended when it
// returns; each try has a goroutine of its own. The Hedger's mutex guards
// memory only.
package hedge
