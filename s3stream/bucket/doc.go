// Package bucket is the interface to object storage: four calls, the errors
// that matter, and a report of every request that was sent.
//
//	wal, s3stream, metadata (checkpoints, archives)
//	       |   Put  Get  List  Delete          WithCause(ctx, "wal")
//	       v
//	  Prefix - Retry - Trace - FaultyBucket - Delay   wrappers, each a Bucket over a Bucket
//	       |
//	  Mem          Dir            s3.Open      one attempt per call, reported
//	(tests, sim) (zonewise dev)  (clusters)    to the observer in ctx
//
// Objects are written once (if absent), never changed and never renamed
// (promise 6), so there is no question of which version a reader gets. That is
// also why a retry is safe: the same bytes under the same name either land
// once or find themselves there.
//
// Owners: a Bucket owns nothing but its own store; its opener closes it. Every
// implementation may be used by any number of goroutines at once. Mem and all
// wrappers use nothing but memory, channels and timers, so they run inside a
// testing/synctest bubble; Dir and s3 do not.
//
// Partial success of a Delete is normal: it returns what is confirmed and an error
// for the rest. Uploads that never became objects are a matter of UploadAborter,
// which Dir and s3 are.
//
// Money: S3 bills requests, not calls. An implementation therefore reports
// each request attempt with the status that it got, to the observers carried
// by the context; Mem and Dir report the requests that S3 would have seen, so
// that the meters of `zonewise dev` mean the same as those of a cluster.
package bucket
