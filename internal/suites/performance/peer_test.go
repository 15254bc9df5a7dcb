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
	"github.com/zonewise/zonewise/internal/testenv/cluster"
	"github.com/zonewise/zonewise/internal/testenv/kafkaoracle"
)

// peer is one system of a comparison.
type peer struct {
	name      string
	bootstrap []string
	replicas  int
	topic     map[string]*string // configuration of its topics
	brokers   []int              // pids
	etcd      []int
	store     int              // pid of the S3 server; 0: none
	cluster   *cluster.Cluster // nil: Kafka

	measured map[string][]measured // by workload, a round each
}

// startBoth starts three brokers each of zonewise and of Apache Kafka, with the
// heap of Kafka's own start script.
func startBoth(t *testing.T) (zonewise, kafka *peer) {
	t.Helper()
	c := cluster.Start(t, cluster.Options{})
	k := kafkaoracle.Start(t, kafkaoracle.Options{Brokers: 3, HeapMB: kafkaHeapMB})
	awaitBrokers(t, k)
	zonewise = &peer{name: "zonewise", replicas: -1, brokers: pids(c.Brokers), etcd: pids(c.Etcd), store: childNamed(t, "versitygw"), cluster: c}
	for z := range cluster.Zones {
		zonewise.bootstrap = append(zonewise.bootstrap, c.ZoneBootstrap(z)...)
	}
	return zonewise, &peer{name: "Kafka", bootstrap: k.Bootstrap, replicas: 3, brokers: k.Pids()}
}

// measured is one run of one workload.
type measured struct {
	mbps, p50, p99       float64 // 10^6 bytes a second; ms
	brokers, etcd, store float64 // seconds of processor a GiB
	memory               float64 // MiB, the peak so far of brokers and etcd
}

func (p *peer) note(workload string, m measured) {
	if p.measured == nil {
		p.measured = map[string][]measured{}
	}
	p.measured[workload] = append(p.measured[workload], m)
}

// usage is what the processes of a system have used, in seconds of processor.
type usage struct{ brokers, etcd, store float64 }

func (p *peer) usage(t *testing.T) (u usage) {
	t.Helper()
	u.brokers, u.etcd = cpuSeconds(t, p.brokers...), cpuSeconds(t, p.etcd...)
	if p.store != 0 {
		u.store = cpuSeconds(t, p.store)
	}
	return u
}

// over is what was used since, for each GiB of so many bytes.
func (u usage) over(t *testing.T, p *peer, bytes float64) measured {
	t.Helper()
	now, per := p.usage(t), bytes/gib
	return measured{brokers: (now.brokers - u.brokers) / per, etcd: (now.etcd - u.etcd) / per, store: (now.store - u.store) / per,
		memory: peakMiB(t, append(append([]int(nil), p.brokers...), p.etcd...)...)}
}

func (p *peer) admin(t *testing.T, do func(context.Context, *kadm.Client) error) {
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

// create makes a topic whose name is not another peer's, and lets what the one
// before left in the page cache reach the disk: it is not this one's.
func (p *peer) create(t *testing.T, topic string, partitions int) string {
	t.Helper()
	if p.topic != nil {
		topic += "-flushed"
	}
	p.admin(t, func(ctx context.Context, a *kadm.Client) error {
		_, err := a.CreateTopic(ctx, int32(partitions), int16(p.replicas), p.topic, topic)
		return err
	})
	syscall.Sync()
	return topic
}

func (p *peer) delete(t *testing.T, topic string) {
	t.Helper()
	p.admin(t, func(ctx context.Context, a *kadm.Client) error {
		_, err := a.DeleteTopic(ctx, topic)
		return err
	})
}

// bench runs `zonewise bench` against the system.
func (p *peer) bench(t *testing.T, program, mode string, long time.Duration, more ...string) (r bench.Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long+3*time.Minute)
	defer cancel()
	args := append([]string{"bench", mode, "--bootstrap", strings.Join(p.bootstrap, ","), "--duration", long.String(), "--format", "json"}, more...)
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
	if len(r.Errors) > 0 || r.Produced.Bytes+r.Consumed.Bytes == 0 {
		t.Errorf("%s: %s: %d bytes, errors %v", p.name, strings.Join(args, " "), r.Produced.Bytes+r.Consumed.Bytes, r.Errors)
	}
	return r
}
