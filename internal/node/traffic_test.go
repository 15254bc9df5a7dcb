package node

import (
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Who asks a broker what it did (zonewise bench, a dashboard) reads 0 of one
// that did nothing yet.
func TestRequestsAreCountedFromZero(t *testing.T) {
	set := metrics.NewSet()
	see := showRequests(set)
	check := func(want string) {
		t.Helper()
		var text strings.Builder
		set.WritePrometheus(&text)
		if !strings.Contains(text.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, text.String())
		}
	}
	check(`zonewise_s3_requests_total{op="put",cause="wal",billed="true"} 0`)
	check(`zonewise_s3_requests_total{op="get",cause="fetch",billed="true"} 0`)
	see(bucket.Attempt{Op: bucket.OpPut, Cause: bucket.CauseWAL, Status: 200})
	see(bucket.Attempt{Op: bucket.OpPut, Status: 503})
	check(`zonewise_s3_requests_total{op="put",cause="wal",billed="true"} 1`)
	check(`zonewise_s3_requests_total{op="put",cause="other",billed="false"} 1`)
}
