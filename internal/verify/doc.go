// Package verify compares the bucket with the state: what the state names must be
// there, whole, and what is there must be named, or have a reason not to be yet.
// With Config.Deep it reads every object and checks each byte that a record, a
// start or a recovery needs. It writes nothing, and the cluster may run.
//
// The cluster moves while it is walked, so the order of the reads decides what may
// be called a fault:
//
//  1. The bucket is listed. What is listed existed at some moment of the listing.
//  2. The log is read: the start point, the session keys, then a state that has
//     everything committed before. It is as new as the listing's end or newer.
//  3. Listed and named: fine. Listed and not named, named and not listed, or of
//     another size: a suspect; most were uploaded or deleted meanwhile.
//  4. With Deep, what the state names is read. What is damaged or gone is a suspect.
//  5. Suspects are looked for in the bucket once more, and then in a state that is
//     newer than that: only what is still named and still not whole, or still there
//     and still not named, is reported. The latter is in flight where its session
//     lives, a leftover where a search for leftovers will find it, or orphaned.
//
// Run owns all of it: its goroutines end before it returns, and it uses no clock but
// the time package's, so that it can run in a synctest bubble.
package verify
