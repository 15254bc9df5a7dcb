package node

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Metrics of requests are 0 for a broker that made none yet (zonewise bench and
// dashboards read them).
func TestRequestsAreCountedFromZero(t *testing.T) {
	set := prometheus.NewRegistry()
	see := requestMetrics(set)
	check := func(want string) {
		t.Helper()
		w := httptest.NewRecorder()
		promhttp.HandlerFor(set, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, w.Body.String())
		}
	}
	check(`zonewise_s3_requests_total{billed="true",cause="wal",op="put"} 0`)
	check(`zonewise_s3_requests_total{billed="true",cause="fetch",op="get"} 0`)
	see(bucket.Attempt{Op: bucket.OpPut, Cause: bucket.CauseWAL, Status: 200})
	see(bucket.Attempt{Op: bucket.OpPut, Status: 503})
	check(`zonewise_s3_requests_total{billed="true",cause="wal",op="put"} 1`)
	check(`zonewise_s3_requests_total{billed="false",cause="other",op="put"} 1`)
}
