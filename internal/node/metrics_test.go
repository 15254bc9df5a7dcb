package node

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Every metric has a type and a help text, and a name that suits its type:
// Datadog's check drops metrics without them, and others take counters for
// gauges. promlint is the check of `promtool check metrics`.
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
		checkMetricNames(t, text)
		if strings.Contains(text, "\n# HELP zonewise_etcd_in_use_bytes") != (n.health.Load() != nil) {
			t.Errorf("the size of etcd is shown where it is not known, or not where it is")
		}
	})
}

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// checkMetricNames holds the names and types of the metrics against a golden
// file: dashboards and alerts of others name them.
func checkMetricNames(t *testing.T, text string) {
	t.Helper()
	var names []string
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "# TYPE zonewise_"); ok {
			names = append(names, "zonewise_"+name)
		}
	}
	slices.Sort(names)
	got := strings.Join(names, "")
	const golden = "testdata/metrics.txt"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("names of metrics have changed: dashboards of others break. If that is meant, say so in CHANGELOG.md and accept it with -rewrite; now they are:\n%s", got)
	}
}
