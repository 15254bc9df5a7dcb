// Package s3 implements package bucket for Amazon S3 and compatible stores. It
// is the only package that imports the AWS SDK.
//
//	Store = bucket.Prefix( bucket.Retry( requests ) )
//	                        |             one SDK call, one HTTP request, one Attempt
//	                        our pauses, our bound, compare after a lost reply
//
// The SDK signs, encodes and decodes; its own retries are off, so that every
// attempt is counted here. An Attempt is reported by what went over the
// connection, not by what the SDK returned: a request that was never sent (no
// credentials) is not one, and an answer cut short is one.
//
// A put is one PutObject, never a multipart upload: bodies are whole in memory and
// bounded by bucket.MaxBody, below S3's limit of 5 GiB for one request. So nothing
// of ours is ever left half uploaded; ListUploads and AbortUploads are for what
// other programs left below the prefix.
//
// A deletion of several names is a DeleteObjects that is not Quiet: about 100 KB of
// answer for a thousand of our names, so that each is confirmed by the store and not by
// its silence.
//
// A put is conditional (If-None-Match: *) and carries the CRC32C of its body, so
// that a store never keeps anything but what was given to Put. Over TLS the body
// is not hashed a second time for the signature; nor is it over plain http
// where the store takes that (SkipBodyHash).
//
// Owner: the caller of Open calls Close. No goroutine is started but those of
// the HTTP transport, which end when connections are closed.
package s3
