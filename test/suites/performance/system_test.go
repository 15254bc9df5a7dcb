//go:build performance

package performance

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

// comparedSystem is one system of a comparison.
type comparedSystem struct {
	name      string
	bootstrap []string
	replicas  int
	topic     map[string]*string // configuration of its topics
	brokers   []int              // pids
	etcd      []int
	store     int              // pid of the S3 server; 0: none
	cluster   *cluster.Cluster // nil: Kafka

	measured map[string][]measurement // by workload, one per round
}

// startSystems starts three brokers each of zonewise and of Apache Kafka, with the
// heap of Kafka's own start script.
func startSystems(t *testing.T) (zonewise, kafka *comparedSystem) {
	t.Helper()
	c := cluster.Start(t, cluster.Options{})
	k := kafkaoracle.Start(t, kafkaoracle.Options{Brokers: 3, HeapMB: kafkaHeapMB})
	awaitBrokers(t, k)
	zonewise = &comparedSystem{name: "zonewise", replicas: -1, brokers: processIDs(c.Brokers), etcd: processIDs(c.Etcd), store: childNamed(t, "versitygw"), cluster: c}
	for z := range cluster.Zones {
		zonewise.bootstrap = append(zonewise.bootstrap, c.ZoneBootstrap(z)...)
	}
	return zonewise, &comparedSystem{name: "Kafka", bootstrap: k.Bootstrap, replicas: 3, brokers: k.Pids()}
}

// measurement is one run of one workload.
type measurement struct {
	mbps, p50, p99       float64 // 10^6 bytes per second; ms
	brokers, etcd, store float64 // CPU seconds per GiB
	memory               float64 // MiB, the peak so far of brokers and etcd
}

func (p *comparedSystem) addMeasurement(workload string, m measurement) {
	if p.measured == nil {
		p.measured = map[string][]measurement{}
	}
	p.measured[workload] = append(p.measured[workload], m)
}

// cpuUsage is the CPU time of a system's processes so far, in seconds.
type cpuUsage struct{ brokers, etcd, store float64 }

func (p *comparedSystem) readUsage(t *testing.T) (u cpuUsage) {
	t.Helper()
	u.brokers, u.etcd = cpuSeconds(t, p.brokers...), cpuSeconds(t, p.etcd...)
	if p.store != 0 {
		u.store = cpuSeconds(t, p.store)
	}
	return u
}

// perGiB returns the usage since u per GiB of the given bytes.
func (u cpuUsage) perGiB(t *testing.T, p *comparedSystem, bytes float64) measurement {
	t.Helper()
	now, per := p.readUsage(t), bytes/gib
	return measurement{brokers: (now.brokers - u.brokers) / per, etcd: (now.etcd - u.etcd) / per, store: (now.store - u.store) / per,
		memory: peakMiB(t, append(append([]int(nil), p.brokers...), p.etcd...)...)}
}

func (p *comparedSystem) withAdmin(t *testing.T, do func(context.Context, *kadm.Client) error) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := do(ctx, kadm.NewClient(client)); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// createTopic creates a topic whose name no other system uses, and syncs the
// disk: dirty pages of the previous run must not count for this one.
func (p *comparedSystem) createTopic(t *testing.T, topic string, partitions int) string {
	t.Helper()
	if p.topic != nil {
		topic += "-flushed"
	}
	p.withAdmin(t, func(ctx context.Context, a *kadm.Client) error {
		_, err := a.CreateTopic(ctx, int32(partitions), int16(p.replicas), p.topic, topic)
		return err
	})
	syscall.Sync()
	return topic
}

func (p *comparedSystem) deleteTopic(t *testing.T, topic string) {
	t.Helper()
	p.withAdmin(t, func(ctx context.Context, a *kadm.Client) error {
		_, err := a.DeleteTopic(ctx, topic)
		return err
	})
}

// runBench runs `zonewise bench` against the system.
func (p *comparedSystem) runBench(t *testing.T, program, mode string, long time.Duration, more ...string) (r bench.Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long+3*time.Minute)
	defer cancel()
	args := append([]string{"bench", mode, "--bootstrap", strings.Join(p.bootstrap, ","), "--duration", long.String(), "--format", "json"}, more...)
	command := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Env = []string{"PATH=" + os.Getenv("PATH")} // ZONEWISE_... variables of this run are not meant for bench
	if err := command.Run(); err != nil {
		t.Fatalf("%s: zonewise %s: %v\n%s%s", p.name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Errors) > 0 || r.Produced.Bytes+r.Consumed.Bytes == 0 {
		t.Errorf("%s: %s: %d bytes, errors %v", p.name, strings.Join(args, " "), r.Produced.Bytes+r.Consumed.Bytes, r.Errors)
	}
	return r
}
