// Package s3stream turns record batches into objects and back: the format of
// WAL objects, the upload, and every read of a broker.
//
//	wal --EncodeWAL, Upload--> Store ----------put-----------> bucket
//	                             | (body)                        ^
//	                             v                               | merged ranged
//	broker --Read--> spans --> tail cache     block cache <------+ GETs, one per
//	        (State)    |       (own objects)  (512 KiB, 2Q)        block in flight
//	                   +-----> inline bytes: replica's memory, or an archive
//
// A read takes the spans of a partition from the applied state, finds the bytes
// of each in the first place that has them (memory of unarchived entries, tail
// cache, block cache, bucket), checks every batch that comes from the bucket
// against its CRC, and writes base offset and leader epoch into a copy of each
// header. Cached bytes are shared by all readers and never changed.
//
// Owners: a Store belongs to one broker. Its tail cache and its block cache
// each have a mutex that guards memory only. Each GET has its own goroutine,
// started by the reader or the read-ahead that found the block missing;
// Store.Close ends and awaits them all. Nothing here outlives the process, and
// no data is only here (promise 7).
//
// The reader that first uses the bytes of a GET is charged for it
// (ReadStats.GETs); GETs that no reader used are reported to Metrics.Unclaimed,
// so the sum of both is what the bucket's meters counted (promise 10).
package s3stream
