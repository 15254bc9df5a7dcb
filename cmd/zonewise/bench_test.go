package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/zonewise/zonewise/internal/bench"
	"github.com/zonewise/zonewise/internal/cli"
)

func TestBenchFindsEveryRecordOfARealClusterAndSaysWhatTheBrokersDid(t *testing.T) {
	o := devOptionsOf(t, t.TempDir(), 2)
	d := startDevTest(t, o)
	defer d.kill()
	servers := fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", devPort(o.kafkaPort, 0, 0), devPort(o.kafkaPort, 1, 1))
	urls := fmt.Sprintf("http://127.0.0.1:%d/dev-a,http://127.0.0.1:%d/dev-b", o.httpPort, o.httpPort)
	run := func(want int64, args ...string) bench.Result {
		t.Helper()
		code, out, stderr := zonewise(t, append([]string{"bench"}, append(args, "--bootstrap", servers, "--format", "json")...)...)
		var r bench.Result
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != cli.ExitOK {
			t.Fatalf("%v: exit %d, %s, %v", args, code, stderr, err)
		}
		if max(r.Produced.Records, r.Consumed.Records) != want || len(r.Errors) != 0 || r.Unread != 0 {
			t.Errorf("%v: %+v", args, r)
		}
		return r
	}
	r := run(600, "e2e", "--records", "600", "--partitions", "4", "--record-bytes", "200", "--server", urls)
	if r.Faults == nil || r.Faults.Bad() || r.Consumed.Records != 600 || r.Produced.Latency.P50 <= 0 || r.Consumed.Latency.Max <= 0 {
		t.Errorf("%+v, %+v", r, r.Faults)
	}
	if r.Brokers == nil || r.Brokers.CPUSecondsPerGiB == nil || *r.Brokers.CPUSecondsPerGiB <= 0 || r.Brokers.S3RequestsPerGiB == nil || r.Brokers.CrossZoneBytesPerGiB == nil {
		t.Errorf("brokers %+v", r.Brokers)
	}
	run(300, "produce", "--records", "300", "--rate", "2000", "--record-bytes", "100", "--compression", "zstd")
	if r := run(900, "consume", "--duration", "30s"); r.Faults == nil || r.Faults.Bad() {
		t.Errorf("%+v", r.Faults)
	}
	run(900, "consume", "--duration", "30s", "--group", "readers")
}
