//go:build performance

package performance

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// The size of etcd's database file at the inline budget of 2 MB/s, with entries
// of 1 to 96 KiB. Aim: below 96 MiB over ten minutes.
func TestEtcdFileAtTheInlineBudget(t *testing.T) {
	const aimMiB = 96
	where := describeMachine(t)
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "inline", 30)
	// Uniform from 1 to 94 KiB: the batch and its entry add the rest. 48 per
	// second are a little more than the budget.
	stream := load{topic: "inline", partitions: 30, perSecond: 48, size: func(r *rand.Rand) int { return 1<<10 + r.IntN(93<<10) },
		options: []kgo.Opt{kgo.ProducerBatchMaxBytes(96 << 10)}}
	before := c.BrokerMetrics(0).Sum("zonewise_wal_inline_bytes_total") + c.BrokerMetrics(1).Sum("zonewise_wal_inline_bytes_total") + c.BrokerMetrics(2).Sum("zonewise_wal_inline_bytes_total")
	stop, done := make(chan struct{}), make(chan float64, 1)
	go func() {
		most := 0.0
		for {
			for z := range cluster.Zones {
				most = max(most, c.EtcdMetrics(z).Sum("etcd_mvcc_db_total_size_in_bytes"))
			}
			select {
			case <-time.After(time.Second):
			case <-stop:
				done <- most / (1 << 20)
				return
			}
		}
	}()
	long := testLength(3*time.Minute, 10*time.Minute)
	acks := ackLatencies(stream.runLoad(t, c, long))
	close(stop)
	most := <-done
	inline := c.BrokerMetrics(0).Sum("zonewise_wal_inline_bytes_total") + c.BrokerMetrics(1).Sum("zonewise_wal_inline_bytes_total") + c.BrokerMetrics(2).Sum("zonewise_wal_inline_bytes_total") - before
	publishSection(t, "etcd file", fmt.Sprintf(`%s

| entries of 1 to 96 KiB, sent for %v at 2.3 MB/s | aim | measured | |
|---|---|---|---|
| largest database file of the three members | < %d MiB | %.0f MiB | %s |
| written inline | up to 2 MB/s | %.2f MB/s | |
| produce acks=all, p50 / p99 | | %.1f / %.1f ms | |
`, where, long, aimMiB, most, verdictText(most < aimMiB), inline/1e6/long.Seconds(), millis(quantile(acks, 0.5)), millis(quantile(acks, 0.99))))
}
