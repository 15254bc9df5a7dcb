//go:build performance

package performance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/test/testenv/cluster"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const (
	oneProducerRounds  = 5
	oneProducerRecords = 50_000
	// windowPuts is one PUT per full window of a Java producer: five batches
	// of 16 KiB.
	windowPuts = gib / (5 << 14)
)

// producerPerfResult is the output of one run of kafka-producer-perf-test, and its cost.
type producerPerfResult struct {
	mbps, p50, p99 float64 // MB/s as the tool counts, 2^20; ms
	// CPU seconds per GiB.
	brokers, etcd, store float64
	puts                 float64 // per GiB
	inline               float64 // share of the bytes
	inlineRate           float64 // bytes per second
}

// One kafka-producer-perf-test with its defaults, records of 1 KiB, one
// partition: what most people try first. zonewise and Apache Kafka alternate.
func TestOneProducerOnePartition(t *testing.T) {
	where := describeMachine(t)
	classes, err := kafkaoracle.Classpath()
	if err != nil {
		t.Fatal(err)
	}
	zonewise, kafka := startSystems(t)
	zonewise.bootstrap = zonewise.cluster.ZoneBootstrap(0)
	var ours, theirs []producerPerfResult
	for round := range 1 + oneProducerRounds {
		topic := fmt.Sprintf("one-%d", round)
		a := runProducerPerf(t, classes, topic, zonewise)
		b := runProducerPerf(t, classes, topic, kafka)
		t.Logf("round %d: zonewise %+v, Kafka %+v", round, a, b)
		if round > 0 { // the first one warms both
			ours, theirs = append(ours, a), append(theirs, b)
		}
	}
	publishSection(t, "one producer", where+"\n\n"+oneProducerTable(ours, theirs))
}

var perfLine = regexp.MustCompile(`([\d.]+) records/sec \(([\d.]+) MB/sec\).* ([\d]+) ms 50th, .* ([\d]+) ms 99th`)

// runProducerPerf runs kafka-producer-perf-test once, on a new topic of one partition.
func runProducerPerf(t *testing.T, classes, topic string, s *comparedSystem) (r producerPerfResult) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	topic = s.createTopic(t, topic, 1)
	defer s.deleteTopic(t, topic)
	meter := func(name string, of ...string) (sum float64) {
		for i := range cluster.Zones {
			sum += s.cluster.BrokerMetrics(i).Sum(name, of...)
		}
		return sum
	}
	var puts, inline float64
	if s.cluster != nil {
		puts, inline = meter("zonewise_s3_requests_total", `op="put"`, `cause="wal"`, `billed="true"`), meter("zonewise_wal_inline_bytes_total")
	}
	before, begun := s.readUsage(t), time.Now()
	command := exec.CommandContext(ctx, "java", "-Xmx512m", "-cp", classes, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
		"--num-records", strconv.Itoa(oneProducerRecords), "--record-size", "1024", "--throughput", "-1",
		"--producer-props", "bootstrap.servers="+strings.Join(s.bootstrap, ","))
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("kafka-producer-perf-test: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	m := perfLine.FindStringSubmatch(lines[len(lines)-1])
	if m == nil {
		t.Fatalf("output of kafka-producer-perf-test:\n%s", out)
	}
	number := func(text string) float64 {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const bytes = oneProducerRecords * 1024
	per := bytes / float64(gib)
	used := before.perGiB(t, s, bytes)
	r = producerPerfResult{mbps: number(m[2]), p50: number(m[3]), p99: number(m[4]), brokers: used.brokers, etcd: used.etcd, store: used.store}
	if s.cluster != nil {
		r.puts = (meter("zonewise_s3_requests_total", `op="put"`, `cause="wal"`, `billed="true"`) - puts) / per
		inline = meter("zonewise_wal_inline_bytes_total") - inline
		r.inline = inline / bytes
		sending := oneProducerRecords / number(m[1])
		r.inlineRate = inline / min(sending, time.Since(begun).Seconds())
	}
	return r
}

func oneProducerTable(ours, theirs []producerPerfResult) string {
	of := func(all []producerPerfResult, f func(producerPerfResult) float64) float64 {
		var v []float64
		for _, r := range all {
			v = append(v, f(r))
		}
		return median(v)
	}
	var ratios []float64
	var rounds []string
	for i := range ours {
		ratios = append(ratios, ours[i].mbps/theirs[i].mbps)
		rounds = append(rounds, fmt.Sprintf("%.1f : %.1f", ours[i].mbps, theirs[i].mbps))
	}
	share := of(ours, func(r producerPerfResult) float64 { return r.inline })
	puts := of(ours, func(r producerPerfResult) float64 { return r.puts })
	aim := 1.1 * windowPuts * (1 - share)
	rate, bound := of(ours, func(r producerPerfResult) float64 { return r.inlineRate }), metadata.DefaultRates().InlineBytes
	var b strings.Builder
	fmt.Fprintf(&b, "| median of %d alternating rounds, after a warm-up round | aim | zonewise | Kafka | |\n|---|---|---|---|---|\n", len(ours))
	fmt.Fprintf(&b, "| MB/s (2^20) | Kafka's | %.1f | %.1f | %s |\n", of(ours, func(r producerPerfResult) float64 { return r.mbps }),
		of(theirs, func(r producerPerfResult) float64 { return r.mbps }), verdictText(median(ratios) >= 1))
	fmt.Fprintf(&b, "| ratio per round, median | 1 | %.2f | | %s |\n", median(ratios), strings.Join(rounds, ", "))
	fmt.Fprintf(&b, "| the tool's latency p50 / p99, ms (its queue of 32 MiB included) | | %.0f / %.0f | %.0f / %.0f | |\n",
		of(ours, func(r producerPerfResult) float64 { return r.p50 }), of(ours, func(r producerPerfResult) float64 { return r.p99 }),
		of(theirs, func(r producerPerfResult) float64 { return r.p50 }), of(theirs, func(r producerPerfResult) float64 { return r.p99 }))
	cpu := func(r producerPerfResult) float64 { return r.brokers + r.etcd }
	fmt.Fprintf(&b, "| CPU seconds per GiB: brokers and etcd | | %.0f | %.0f | |\n", of(ours, cpu), of(theirs, cpu))
	fmt.Fprintf(&b, "| CPU seconds per GiB: S3 server | | %.0f | none | |\n", of(ours, func(r producerPerfResult) float64 { return r.store }))
	fmt.Fprintf(&b, "| inline rate, share of the cluster's bound | >= 90 %% | %.0f %% | | %s |\n", 100*rate/bound, verdictText(rate >= 0.9*bound))
	fmt.Fprintf(&b, "| share of the bytes that went inline | | %.0f %% | | |\n", 100*share)
	fmt.Fprintf(&b, "| PUTs per GiB | <= %.0f: 1.1 x one PUT per five batches of 16 KiB that are not inline | %.0f | | %s |\n", aim, puts, verdictText(puts <= aim))
	return b.String()
}
