package s3server

import "testing"

func TestAccessLogLinesAreRead(t *testing.T) {
	const head = "owner bucket [23/November/2026:01:18:00 +0000] 127.0.0.1 who CW1H7V9A "
	for line, want := range map[string]Request{
		head + "s3_PutObject a/00 /bucket/a/00?x-id=PutObject 412 PreconditionFailed 0 10 4 4 - agent": {"PutObject", "a/00", 412},
		head + "s3_ListObjectsV2 - /bucket?list-type=2 200 - 5943 0 1 1 -":                             {"ListObjectsV2", "", 200},
		head + `s3_GetObject a "GET /bucket/a HTTP/1.1" 206 - 5`:                                       {"GetObject", "a", 206},
		"log starts 2026-11-23 01:18:00 +0000 UTC m=+0.03":                                             {},
		"":                      {},
		head + "s3_GetObject a": {},
	} {
		if got, ok := parseLine(line); got != want || ok != (want != Request{}) {
			t.Errorf("%q: %v, %v; want %v", line, got, ok, want)
		}
	}
}
