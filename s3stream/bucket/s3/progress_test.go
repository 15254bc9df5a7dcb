package s3

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// What arrives of a body extends its time-out: an object that takes several
// time-outs to arrive is read by one request.
func TestALargeBodyIsReadAsLongAsItArrives(t *testing.T) {
	const pieces, piece = 6, 128 << 10
	requestCount := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requestCount++
		w.Header().Set("Content-Length", strconv.Itoa(pieces*piece))
		for range pieces {
			time.Sleep(150 * time.Millisecond)
			if _, err := w.Write(make([]byte, piece)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}))
	defer server.Close()
	config := bucket.DefaultRetry()
	config.Timeout = 500 * time.Millisecond // of 900 ms that the body takes
	b := bucket.Retry(&requests{client: clientOf(t, server.URL), bucket: "b"}, config)
	body, err := b.Get(t.Context(), "a", 0, -1)
	if err != nil || len(body) != pieces*piece || requestCount != 1 {
		t.Errorf("%d bytes by %d requests, %v", len(body), requestCount, err)
	}
}
