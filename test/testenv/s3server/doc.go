// Package s3server builds, starts and stops the S3 server of the integration
// tests: versitygw over a folder, pinned in test/tools/versitygw, listening
// on loopback.
//
//	s3server.Start(t, Options{})  ->  *Server{Endpoint, AccessKey, ... AccessLog}
//	    go build (once per version of the pin, kept in the user's cache folder)
//	    versitygw posix <t.TempDir>     Stop, Restart: same port, same data
//
// Its access log is the independent witness of promise 10: the requests that the
// server received, compared with those that our meters count.
//
// Owner: the Server owns the process and ends it when the test ends.
package s3server
