//go:build clients

package clients

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/test/testenv/devserver"
)

// metricFamily is a parsed metric family.
type metricFamily struct {
	Type    string
	Help    string
	Samples int
}

// metricsVerdict is the result of the readers of metrics.
type metricsVerdict struct {
	ContentType string `json:"content_type"`
	Families    map[string]metricFamily
	Datadog     map[string]int // samples submitted, by name
}

// TestMetricsAreReadByOthers reads a broker's metrics with Prometheus's Python parser
// and Datadog's OpenMetrics check: every family has a type and a help text, and is
// submitted.
func TestMetricsAreReadByOthers(t *testing.T) {
	program, err := pythonProgram("metrics-python", "judge.py")
	skipIfMissing(t, "prometheus_client and Datadog's check", err)
	d := devserver.Start(t, "--demo")
	out, err := exec.Command(program[0], append(program[1:], fmt.Sprintf("http://127.0.0.1:%d/metrics", d.HTTP()))...).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
	}
	var got metricsVerdict
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	ours := 0
	for name, f := range got.Families {
		if !strings.HasPrefix(name, "zonewise_") {
			continue
		}
		ours++
		if f.Help == "" || f.Type == "unknown" {
			t.Errorf("%s: type %q, help %q in %s", name, f.Type, f.Help, got.ContentType)
		}
		submitted := 0
		for as, n := range got.Datadog {
			if as == "broker."+name || strings.HasPrefix(as, "broker."+name+".") {
				submitted += n
			}
		}
		if f.Samples > 0 && submitted == 0 {
			t.Errorf("%s (%s, %d samples): Datadog's check submits nothing", name, f.Type, f.Samples)
		}
	}
	fmt.Printf("    metrics: %d families of zonewise; Datadog's check submits %d names\n", ours, len(got.Datadog))
	if ours < 50 {
		t.Errorf("%d families", ours)
	}
}
