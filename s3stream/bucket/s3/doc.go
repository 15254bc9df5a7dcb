// Package s3 puts Amazon S3, and stores that speak like it, behind the door of
// package bucket. It is the only place that knows the AWS SDK.
//
//	Store = bucket.Prefix( bucket.Retry( requests ) )
//	                        |             one SDK call, one HTTP request, one Attempt
//	                        our pauses, our bound, compare after a lost reply
//
// The SDK signs, encodes and decodes; its own retries are off, so that every
// attempt is ours to count. An Attempt is reported by what went over the
// connection, not by what the SDK returned: a request that was never sent (no
// credentials) is not one, and an answer cut short is one.
//
// A put is conditional (If-None-Match: *) and carries the CRC32C of its body, so
// that a store never keeps anything but what was given to Put. Over TLS the body
// is not hashed a second time for the signature; nor is it over plain http
// where the store takes that (SkipBodyHash).
//
// Owner: whoever calls Open calls Close. No goroutine is started but those of
// the HTTP transport, which end when connections are closed.
package s3
