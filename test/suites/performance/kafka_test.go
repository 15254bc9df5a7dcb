//go:build performance

package performance

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const (
	kafkaRounds    = 5
	pacedPerSecond = 2000
	gib            = 1 << 30
	// kafkaHeapMB is the heap of each Kafka broker, as in Kafka's start script.
	kafkaHeapMB = 1024
)

// kafkaPartitions are the partition counts of the flat-out topics.
var kafkaPartitions = []int{1, 30, 300}

// middle is the partition count of the other workloads.
const middle = 30

// zonewise and Apache Kafka on one machine: three brokers each, records of
// 1 KiB, acks=all. Both are warmed up and then alternate, workload by workload;
// they go first in alternate rounds. A report, not a gate.
func TestAgainstKafka(t *testing.T) {
	where := describeMachine(t)
	classes, err := kafkaoracle.Classpath()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := startSystems(t)
	c, one := ours.cluster, "1"
	flushed := &comparedSystem{name: "Kafka, `flush.messages=1`", bootstrap: theirs.bootstrap, replicas: 3, brokers: theirs.brokers, topic: map[string]*string{"flush.messages": &one}}
	d := watchDisk(t, c.Folder)
	warmUp(t, c.Program, ours, theirs)
	for round := range kafkaRounds {
		turn := []*comparedSystem{ours, theirs, flushed}
		if round%2 == 1 {
			turn = []*comparedSystem{flushed, theirs, ours}
		}
		for _, w := range workloadTable(classes, c.Program) {
			for _, p := range turn {
				if p == flushed && !w.flushed {
					continue
				}
				m := w.run(t, p, fmt.Sprintf("round-%d-%s", round, w.short))
				t.Logf("round %d, %s, %s: %+v", round, w.name, p.name, m)
				p.addMeasurement(w.name, m)
			}
		}
	}
	disk50, disk99 := d.stopAndReport()
	publishSection(t, "kafka", fmt.Sprintf("%s The disk's fdatasync during the run: p50 %.1f ms, p99 %.1f ms.\n\n%s\n\n%s", where, millis(disk50), millis(disk99),
		kafkaTable(ours, theirs, workloadTable(classes, c.Program)), flushedTable(ours, theirs, flushed)))
}

// warmUp runs the same workload on both for at least a minute each, alternating:
// the second half of a JVM's first minute is still faster than the first. The
// rate is limited, so that the disk has room for the rounds.
func warmUp(t *testing.T, program string, peers ...*comparedSystem) {
	t.Helper()
	for turn := range 4 {
		for _, p := range peers {
			topic := p.createTopic(t, fmt.Sprintf("warm-%d", turn), middle)
			r := p.runBench(t, program, "produce", 15*time.Second, "--topic", topic, "--create=false", "--rate", "60000")
			t.Logf("warming up, turn %d, %s: %.1f MB/s", turn, p.name, r.Produced.MBps)
			p.deleteTopic(t, topic)
		}
	}
}

// awaitBrokers waits until all three brokers have registered.
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
