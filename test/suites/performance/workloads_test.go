//go:build performance

package performance

import (
	"fmt"
	"testing"
	"time"
)

// workload is one thing that all systems do, alternating.
type workload struct {
	name, short string
	flushed     bool // also run on the Kafka that flushes
	latency     bool // its latency is reported
	run         func(t *testing.T, p *comparedSystem, topic string) measurement
}

// flatRecords is the number of records of 1 KiB in a flat-out run: a GiB, or 8
// in a full run. A limit by time would fill the disk of a fast machine.
func flatRecords() string { return fmt.Sprint(int(testLength(1<<20, 8<<20))) }

// workloadTable are the rows of the comparison with Kafka, in the order in which
// they are run.
func workloadTable(classes, program string) (all []workload) {
	paced := testLength(8*time.Second, time.Minute)
	const most = 5 * time.Minute // of a flat-out run
	for _, n := range kafkaPartitions {
		all = append(all, workload{name: fmt.Sprintf("produce flat out, partitions: %d", n), short: fmt.Sprintf("flat-%d", n), flushed: n == middle, latency: true,
			run: func(t *testing.T, p *comparedSystem, topic string) measurement {
				topic = p.createTopic(t, topic, n)
				m := produceFor(t, p, program, topic, most, "--records", flatRecords())
				p.deleteTopic(t, topic)
				return m
			}})
	}
	return append(all,
		workload{name: fmt.Sprintf("produce %d records/s, partitions: %d", pacedPerSecond, middle), short: "paced", flushed: true, latency: true,
			run: func(t *testing.T, p *comparedSystem, topic string) measurement {
				topic = p.createTopic(t, topic, middle)
				m := produceFor(t, p, program, topic, paced, "--rate", fmt.Sprint(pacedPerSecond))
				p.deleteTopic(t, topic)
				return m
			}},
		workload{name: "kafka-producer-perf-test, its defaults, partitions: 1", short: "tool",
			run: func(t *testing.T, p *comparedSystem, topic string) measurement {
				r := runProducerPerf(t, classes, topic, p)
				return measurement{mbps: r.mbps * (1 << 20) / 1e6, p50: r.p50, p99: r.p99, brokers: r.brokers, etcd: r.etcd, store: r.store}
			}},
		workload{name: fmt.Sprintf("catch-up read of what was just written, partitions: %d", middle), short: "read",
			run: func(t *testing.T, p *comparedSystem, topic string) measurement {
				topic = p.createTopic(t, topic, middle)
				p.runBench(t, program, "produce", most, "--topic", topic, "--create=false", "--records", flatRecords())
				before := p.readUsage(t)
				r := p.runBench(t, program, "consume", 2*time.Minute, "--topic", topic)
				m := before.perGiB(t, p, float64(r.Consumed.Bytes))
				m.mbps = r.Consumed.MBps
				if r.Unread > 0 || r.Faults == nil || r.Faults.Bad() {
					t.Errorf("%s: read of %s: %d offsets unread, faults %+v", p.name, topic, r.Unread, r.Faults)
				}
				p.deleteTopic(t, topic)
				return m
			}})
}

func produceFor(t *testing.T, p *comparedSystem, program, topic string, long time.Duration, more ...string) measurement {
	t.Helper()
	before := p.readUsage(t)
	r := p.runBench(t, program, "produce", long, append([]string{"--topic", topic, "--create=false", "--record-bytes", "1024", "--acks", "all"}, more...)...)
	m := before.perGiB(t, p, float64(r.Produced.Bytes))
	m.mbps, m.p50, m.p99 = r.Produced.MBps, r.Produced.Latency.P50, r.Produced.Latency.P99
	return m
}
