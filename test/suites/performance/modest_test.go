//go:build performance

package performance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/internal/bench"
	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// modestRates are records of 1 KiB per second, from three producers without
// linger, over 30 partitions; 0 is idle.
var modestRates = []int{0, 100, 1000}

const modestRounds = 3

// streamCost is one phase of one system.
type streamCost struct {
	cpu, log float64 // percent of one core: brokers and etcd; etcd alone
	p50, p99 float64 // ms
	commits  float64 // per second
	requests float64 // S3 requests per minute
}

// The CPU time of a modest stream compared with Apache Kafka: three brokers and
// three etcd members, idle and at two rates, alternating.
func TestModestStreamBesideKafka(t *testing.T) {
	where := describeMachine(t)
	ours, theirs := startSystems(t)
	c := ours.cluster
	got := map[*comparedSystem]map[int][]streamCost{ours: {}, theirs: {}}
	d := watchDisk(t, c.Folder)
	for round := range 1 + modestRounds {
		for _, rate := range modestRates {
			for _, p := range []*comparedSystem{ours, theirs} {
				var of *cluster.Cluster
				if p == ours {
					of = c
				}
				m := p.measureStream(t, c.Program, fmt.Sprintf("modest-%d-%d", round, rate), rate, of)
				t.Logf("round %d, %d records/s, %s: %+v", round, rate, p.name, m)
				if round > 0 {
					got[p][rate] = append(got[p][rate], m)
				}
			}
		}
	}
	disk50, disk99 := d.stopAndReport()
	publishSection(t, "modest beside kafka", fmt.Sprintf("%s The disk's fdatasync during the run: p50 %.1f ms, p99 %.1f ms.\n\n%s", where, millis(disk50), millis(disk99), modestTable(got[ours], got[theirs])))
}

func (p *comparedSystem) measureStream(t *testing.T, program, topic string, rate int, c *cluster.Cluster) (m streamCost) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	long := testLength(15*time.Second, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), long+3*time.Minute)
	defer cancel()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, 30, int16(p.replicas), nil, topic); err != nil {
		t.Fatalf("%s: create topic: %v", p.name, err)
	}
	client.Close()
	syscall.Sync()
	time.Sleep(3 * time.Second)
	commits, requests := 0.0, 0.0
	count := func(sign float64) {
		for z := 0; c != nil && z < cluster.Zones; z++ {
			metrics := c.BrokerMetrics(z)
			commits += sign * metrics.Sum("zonewise_wal_commits_total")
			requests += sign * metrics.Sum("zonewise_s3_requests_total")
		}
	}
	count(-1)
	brokers, log, begun := cpuSeconds(t, p.brokers...), cpuSeconds(t, p.etcd...), time.Now()
	if rate == 0 {
		time.Sleep(long)
	} else {
		r := runPaced(t, ctx, program, p.bootstrap, topic, rate, long)
		m.p50, m.p99 = r.Produced.Latency.P50, r.Produced.Latency.P99
	}
	took := time.Since(begun).Seconds()
	log, brokers = cpuSeconds(t, p.etcd...)-log, cpuSeconds(t, p.brokers...)-brokers
	count(1)
	m.cpu, m.log, m.commits, m.requests = 100*(brokers+log)/took, 100*log/took, commits/took, 60*requests/took
	return m
}

func runPaced(t *testing.T, ctx context.Context, program string, bootstrap []string, topic string, rate int, long time.Duration) (r bench.Result) {
	t.Helper()
	command := exec.CommandContext(ctx, program, "bench", "produce", "--bootstrap", strings.Join(bootstrap, ","), "--topic", topic, "--create=false",
		"--record-bytes", "1024", "--duration", long.String(), "--producer-linger", "0s", "--rate", fmt.Sprint(rate), "--format", "json")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := command.Output()
	if err != nil {
		t.Fatalf("zonewise bench: %v", err)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func modestTable(ours, theirs map[int][]streamCost) string {
	of := func(all []streamCost, f func(streamCost) float64) float64 {
		var v []float64
		for _, m := range all {
			v = append(v, f(m))
		}
		return median(v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| records/s of 1 KiB, 30 partitions; median of %d alternating rounds | %% of a core, zonewise (etcd's part) | Kafka | aim | | ack p50 / p99, ms, zonewise | Kafka | commits/s | S3 requests per minute |\n|---|---|---|---|---|---|---|---|---|\n", modestRounds)
	for _, rate := range modestRates {
		a, k := ours[rate], theirs[rate]
		cpu, kafka := of(a, func(m streamCost) float64 { return m.cpu }), of(k, func(m streamCost) float64 { return m.cpu })
		aim, most := "half of Kafka's", kafka/2
		if rate == 0 {
			aim, most = "< 5", 5
		}
		fmt.Fprintf(&b, "| %d | %.0f (%.0f) | %.0f | %s | %s | %.1f / %.1f | %.1f / %.1f | %.0f | %.0f |\n", rate, cpu, of(a, func(m streamCost) float64 { return m.log }), kafka,
			aim, verdictText(cpu <= most), of(a, func(m streamCost) float64 { return m.p50 }), of(a, func(m streamCost) float64 { return m.p99 }),
			of(k, func(m streamCost) float64 { return m.p50 }), of(k, func(m streamCost) float64 { return m.p99 }),
			of(a, func(m streamCost) float64 { return m.commits }), of(a, func(m streamCost) float64 { return m.requests }))
	}
	return b.String()
}
