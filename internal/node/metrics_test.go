package node

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Every metric has a type and a help text, and a name that its type wants:
// Datadog's check takes nothing of what has none, and others take counters for
// gauges. promlint is what `promtool check metrics` says.
func TestMetricsAreAsPrometheusWantsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, 20*time.Millisecond)
		defer c.close()
		n := c.start("a", "a")
		text := fetch(t, n, "/metrics")
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		for _, want := range []string{"# TYPE zonewise_wal_objects_total counter", "# TYPE zonewise_commit_seconds histogram", "# TYPE zonewise_ready gauge",
			`zonewise_kafka_requests_total{api="Produce"} 0`, `zonewise_limit_used{limit="topics"} 0`} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("/metrics has no line %q", want)
			}
		}
		if strings.Contains(text, "\n# HELP zonewise_etcd_in_use_bytes") != (n.health.Load() != nil) {
			t.Errorf("the size of etcd is shown where it is not known, or not where it is")
		}
	})
}
