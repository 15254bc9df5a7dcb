//go:build performance

package performance

import (
	"bytes"
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
	"github.com/zonewise/zonewise/internal/testenv/cluster"
	"github.com/zonewise/zonewise/internal/testenv/kafkaoracle"
)

const (
	kafkaRounds     = 3
	kafkaPartitions = 30
	pacedPerSecond  = 2000
	gib             = 1 << 30
)

// peer is one system of the comparison.
type peer struct {
	name      string
	bootstrap []string
	replicas  int
	topic     map[string]*string // configuration of the topic
	brokers   []int              // pids
	etcd      []int
	store     int // pid of the S3 server; 0: none

	flat, paced                          []bench.Result
	brokerCPU, etcdCPU, storeCPU, memory []float64
}

// zonewise and Apache Kafka on one machine: three brokers each, records of
// 1 KiB, acks=all, by `zonewise bench`; the systems take turns, round by round.
// A report, not a gate.
func TestAgainstKafka(t *testing.T) {
	where := machine(t)
	c := cluster.Start(t, cluster.Options{})
	k := kafkaoracle.Start(t, kafkaoracle.Options{Brokers: 3, HeapMB: 512})
	awaitBrokers(t, k)
	one := "1"
	var bootstrap []string
	for z := range cluster.Zones {
		bootstrap = append(bootstrap, c.ZoneBootstrap(z)...)
	}
	peers := []*peer{
		{name: "zonewise", bootstrap: bootstrap, replicas: -1, brokers: pids(c.Brokers), etcd: pids(c.Etcd), store: childNamed(t, "versitygw")},
		{name: "Kafka, as shipped", bootstrap: k.Bootstrap, replicas: 3, brokers: k.Pids()},
		{name: "Kafka, `flush.messages=1`", bootstrap: k.Bootstrap, replicas: 3, brokers: k.Pids(), topic: map[string]*string{"flush.messages": &one}},
	}
	d := watchDisk(t, c.Folder)
	for round := range kafkaRounds {
		for i, p := range peers {
			p.measure(t, c.Program, fmt.Sprintf("round-%d-%d", round, i))
		}
	}
	disk50, disk99 := d.result()
	publish(t, "kafka", fmt.Sprintf("%s The disk's fdatasync meanwhile: p50 %.1f ms, p99 %.1f ms.\n\n%s", where, ms(disk50), ms(disk99), table(peers)))
}

// awaitBrokers waits until all three have registered.
func awaitBrokers(t *testing.T, k *kafkaoracle.Oracle) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for {
		brokers, err := kadm.NewClient(client).ListBrokers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(brokers) == 3 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// measure is one system's turn: flat out, then paced, each on a new topic.
func (p *peer) measure(t *testing.T, program, topic string) {
	t.Helper()
	syscall.Sync() // what the one before left in the page cache is not this one's
	flatOut, paced := length(15*time.Second, time.Minute), length(10*time.Second, time.Minute)
	brokers, etcd, store := cpuSeconds(t, p.brokers...), cpuSeconds(t, p.etcd...), 0.0
	if p.store != 0 {
		store = cpuSeconds(t, p.store)
	}
	r := p.bench(t, program, topic+"-flat", flatOut)
	per := float64(r.Produced.Bytes) / gib
	p.flat = append(p.flat, r)
	p.brokerCPU = append(p.brokerCPU, (cpuSeconds(t, p.brokers...)-brokers)/per)
	p.etcdCPU = append(p.etcdCPU, (cpuSeconds(t, p.etcd...)-etcd)/per)
	if p.store != 0 {
		p.storeCPU = append(p.storeCPU, (cpuSeconds(t, p.store)-store)/per)
	}
	p.memory = append(p.memory, peakMiB(t, append(p.brokers, p.etcd...)...))
	p.paced = append(p.paced, p.bench(t, program, topic+"-paced", paced, "--rate", fmt.Sprint(pacedPerSecond)))
	t.Logf("%s: %.1f MB/s, paced p50 %.1f ms, p99 %.1f ms", p.name, r.Produced.MBps, last(p.paced).Produced.Latency.P50, last(p.paced).Produced.Latency.P99)
}

func last(all []bench.Result) bench.Result { return all[len(all)-1] }

func (p *peer) bench(t *testing.T, program, topic string, long time.Duration, more ...string) (r bench.Result) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), long+3*time.Minute)
	defer cancel()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, kafkaPartitions, int16(p.replicas), p.topic, topic); err != nil {
		t.Fatalf("%s: create topic: %v", p.name, err)
	}
	args := append([]string{"bench", "produce", "--bootstrap", strings.Join(p.bootstrap, ","), "--topic", topic, "--create=false",
		"--record-bytes", "1024", "--acks", "all", "--duration", long.String(), "--format", "json"}, more...)
	command := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Env = []string{"PATH=" + os.Getenv("PATH")} // ZONEWISE_... of this run are no settings of bench
	if err := command.Run(); err != nil {
		t.Fatalf("%s: zonewise %s: %v\n%s%s", p.name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Errors) > 0 || r.Produced.Bytes == 0 {
		t.Errorf("%s: errors %v", p.name, r.Errors)
	}
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		t.Fatalf("%s: delete topic: %v", p.name, err)
	}
	return r
}

func table(peers []*peer) string {
	var b strings.Builder
	cell := func(name string, value func(*peer) string) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, p := range peers {
			fmt.Fprintf(&b, " %s |", value(p))
		}
		b.WriteString("\n")
	}
	over := func(all []bench.Result, f func(bench.Result) float64) float64 {
		var v []float64
		for _, r := range all {
			v = append(v, f(r))
		}
		return median(v)
	}
	cell(fmt.Sprintf("median of %d rounds in turn", kafkaRounds), func(p *peer) string { return p.name })
	b.WriteString("|---|---|---|---|\n")
	cell("flat out, MB/s", func(p *peer) string {
		return fmt.Sprintf("%.0f", over(p.flat, func(r bench.Result) float64 { return r.Produced.MBps }))
	})
	cell("flat out, ack p50 / p99, ms (the client's own queue of 64 MiB included)", func(p *peer) string {
		return fmt.Sprintf("%.0f / %.0f", over(p.flat, func(r bench.Result) float64 { return r.Produced.Latency.P50 }),
			over(p.flat, func(r bench.Result) float64 { return r.Produced.Latency.P99 }))
	})
	cell(fmt.Sprintf("%d records/s, ack p50 / p99, ms", pacedPerSecond), func(p *peer) string {
		return fmt.Sprintf("%.1f / %.1f", over(p.paced, func(r bench.Result) float64 { return r.Produced.Latency.P50 }),
			over(p.paced, func(r bench.Result) float64 { return r.Produced.Latency.P99 }))
	})
	cell("flat out, CPU seconds per GiB: brokers + etcd", func(p *peer) string {
		if p.etcd == nil {
			return fmt.Sprintf("%.1f", median(p.brokerCPU))
		}
		return fmt.Sprintf("%.1f + %.1f", median(p.brokerCPU), median(p.etcdCPU))
	})
	cell("CPU seconds per GiB: S3 server", func(p *peer) string {
		if p.store == 0 {
			return "none"
		}
		return fmt.Sprintf("%.1f", median(p.storeCPU))
	})
	cell("peak memory of brokers + etcd, MiB", func(p *peer) string { return fmt.Sprintf("%.0f", p.memory[len(p.memory)-1]) })
	return b.String()
}
