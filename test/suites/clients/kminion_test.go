//go:build clients

package clients

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/devserver"
)

const (
	kminionModule  = "github.com/cloudhut/kminion/v2"
	kminionProbes  = 300 // that must have arrived before its metrics are checked
	kminionParts   = 6   // of its own topic: two for each broker
	kminionRecords = 30
	kminionRead    = 12 // of these read by the group
)

// kminionConfig is its configuration, except for the brokers and its own port.
const kminionConfig = `
logger: {level: info}
kafka: {brokers: [%s]}
minion:
  consumerGroups: {enabled: true, scrapeMode: adminApi, granularity: partition}
  topics: {granularity: partition, infoMetric: {configKeys: ["cleanup.policy", "retention.ms"]}}
  logDirs: {enabled: true}
  endToEnd:
    enabled: true
    probeInterval: 100ms
    topicManagement: {enabled: true, reconciliationInterval: 5s, replicationFactor: 3, partitionsPerBroker: 2}
exporter: {host: 127.0.0.1, port: %s}
`

// TestKminion lets kminion monitor a cluster of its own, so that no other test deletes
// topics or groups between two of its requests.
func TestKminion(t *testing.T) {
	program, err := kminionProgram()
	skipIfMissing(t, "kminion", err)
	d := devserver.Start(t)
	kminionWatched(t, d)
	url, log := startKminion(t, d, program)
	text := ""
	for limit := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		text = scrapeMetrics(t, url)
		if sumMetric(text, "kminion_end_to_end_messages_received_total", "") >= kminionProbes {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("its probes do not come round:\n%s\n%s", text, log())
		}
	}
	fmt.Printf("    kminion: %.0f probes came round in %.1f ms each, %.0f lost\n", sumMetric(text, "kminion_end_to_end_messages_received_total", ""),
		1000*sumMetric(text, "kminion_end_to_end_roundtrip_latency_seconds_sum", "")/sumMetric(text, "kminion_end_to_end_roundtrip_latency_seconds_count", ""),
		sumMetric(text, "kminion_end_to_end_messages_lost_total", ""))
	topic, group := `topic_name="topic-of-kminion"`, `group_id="group-of-kminion"`
	for _, m := range []struct {
		name, labels string
		series       int
		sum          float64 // -1: any above zero
	}{
		{"kminion_exporter_up", "", 1, 1},
		{"kminion_log_messages_total", `level="(warn|error|fatal|panic)"`, 4, 0},
		{"kminion_kafka_cluster_info", `broker_count="3"`, 1, 1},
		{"kminion_kafka_broker_info", `rack_id="dev-[abc]"`, 3, 3},
		{"kminion_kafka_broker_info", `is_controller="true"`, 1, 1},
		{"kminion_kafka_broker_log_dir_size_total_bytes", "", 3, -1},
		{"kminion_kafka_topic_info", `cleanup_policy="delete",partition_count="3",replication_factor="3",retention_ms="86400000",` + topic, 1, 1},
		{"kminion_kafka_topic_partition_high_water_mark", topic, 3, kminionRecords},
		{"kminion_kafka_topic_low_water_mark_sum", topic, 1, 0},
		{"kminion_kafka_topic_log_dir_size_total_bytes", topic, 1, -1},
		{"kminion_kafka_consumer_group_info", group + `.*state="Empty"`, 1, 0},
		{"kminion_kafka_consumer_group_topic_offset_sum", group, 1, kminionRead},
		{"kminion_kafka_consumer_group_topic_lag", group, 1, kminionRecords - kminionRead},
		{"kminion_kafka_consumer_group_info", `group_id="kminion-end-to-end.*state="Stable"`, 1, 1},
		{"kminion_end_to_end_messages_received_total", "", kminionParts, -1},
		{"kminion_end_to_end_messages_produced_failed_total", "", kminionParts, 0},
		{"kminion_end_to_end_messages_lost_total", "", kminionParts, 0},
		{"kminion_end_to_end_offset_commits_total", "", 1, -1},
	} {
		got, n := sumMetric(text, m.name, m.labels), len(metricValues(text, m.name, m.labels))
		if n != m.series || m.sum >= 0 && got != m.sum || m.sum < 0 && got <= 0 {
			t.Errorf("%s{%s}: %d series with %v in all, want %d with %v", m.name, m.labels, n, got, m.series, m.sum)
		}
	}
	if t.Failed() {
		t.Logf("%s\n%s\n%s", text, log(), d.Tail())
	}
}

// kminionWatched creates a topic and a group to monitor.
func kminionWatched(t *testing.T, d *devserver.Dev) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(d.Bootstrap(0)), kgo.ClientID("oracle"), kgo.DefaultProduceTopic("topic-of-kminion"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	if _, err := admin.CreateTopic(t.Context(), 3, -1, map[string]*string{"retention.ms": kadm.StringPtr("86400000")}, "topic-of-kminion"); err != nil {
		t.Fatal(err)
	}
	for i := range kminionRecords {
		if err := c.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	ends, err := admin.ListEndOffsets(t.Context(), "topic-of-kminion")
	if err = firstError(err, ends.Error()); err != nil {
		t.Fatal(err)
	}
	read, left := kadm.Offsets{}, int64(kminionRead)
	ends.Each(func(o kadm.ListedOffset) {
		n := min(left, o.Offset)
		left -= n
		read.AddOffset(o.Topic, o.Partition, n, -1)
	})
	if err := admin.CommitAllOffsets(t.Context(), "group-of-kminion", read); err != nil {
		t.Fatal(err)
	}
}

// startKminion runs it until the test ends, and returns where its metrics are
// and what gives its log.
func startKminion(t *testing.T, d *devserver.Dev, program string) (url string, log func() string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	_, port, _ := net.SplitHostPort(address)
	var brokers []string
	for z := range devserver.Zones {
		brokers = append(brokers, strconv.Quote(d.Bootstrap(z)))
	}
	folder := t.TempDir()
	config, output := filepath.Join(folder, "kminion.yaml"), filepath.Join(folder, "kminion.log")
	if err := os.WriteFile(config, fmt.Appendf(nil, kminionConfig, strings.Join(brokers, ", "), port), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "CONFIG_FILEPATH="+config)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // returns that it was killed
	})
	return "http://" + address + "/metrics", func() string {
		text, err := os.ReadFile(output)
		return fmt.Sprintf("--- log of kminion (%v)\n%s", err, text[max(0, len(text)-4000):])
	}
}

// scrapeMetrics reads the metrics; "" while it does not listen yet.
func scrapeMetrics(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", url, resp.Status, err, body)
	}
	return string(body)
}

// metricValues returns the values of a metric whose labels match an expression.
func metricValues(text, name, labels string) (out []float64) {
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{(.*)\})? (\S+)$`).FindAllStringSubmatch(text, -1) {
		if v, err := strconv.ParseFloat(m[2], 64); err == nil && regexp.MustCompile(labels).MatchString(m[1]) {
			out = append(out, v)
		}
	}
	return out
}

func sumMetric(text, name, labels string) (all float64) {
	for _, v := range metricValues(text, name, labels) {
		all += v
	}
	return all
}

// kminionProgram builds it, as test/tools/kminion pins it.
func kminionProgram() (string, error) {
	if err := requirePrograms("go"); err != nil {
		return "", err
	}
	folder, _, err := installTool("kminion", []string{"go.mod", "go.sum"}, func(folder, tool string) error {
		err := runCommand(tool, "go", "mod", "download", kminionModule)
		if err != nil && strings.Contains(err.Error(), "reading http") {
			return missingError{"the Go module proxy does not give " + kminionModule}
		}
		return errors.Join(err, runCommand(tool, "go", "build", "-o", filepath.Join(folder, "kminion"), kminionModule))
	})
	return filepath.Join(folder, "kminion"), err
}
