//go:build performance

package performance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/test/testenv/cluster"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

// The gain of a higher bound on inline bytes, and its cost in etcd: the producer
// of TestOneProducerOnePartition at several bounds (ADR 0017).
func TestInlineBound(t *testing.T) {
	where := describeMachine(t)
	classes, err := kafkaoracle.Classpath()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| bound, MiB/s | MB/s | share inline | PUTs per GiB | CPU s per GiB, brokers | CPU s per GiB, etcd | fsyncs of one member per GiB | largest file of a member |\n|---|---|---|---|---|---|---|---|\n")
	for _, mib := range []int{0, 2, 4, 8} {
		t.Run(fmt.Sprint(mib), func(t *testing.T) {
			c := cluster.Start(t, cluster.Options{Flags: []string{"--inline-rate", fmt.Sprint(mib << 20)}})
			s := &comparedSystem{name: "zonewise", bootstrap: c.ZoneBootstrap(0), replicas: -1, brokers: processIDs(c.Brokers), etcd: processIDs(c.Etcd), store: childNamed(t, "versitygw"), cluster: c}
			runProducerPerf(t, classes, "warm", s)
			const per = oneProducerRecords * 1024 / float64(gib)
			syncs := c.EtcdMetrics(0).Sum("etcd_disk_wal_fsync_duration_seconds_count")
			r := runProducerPerf(t, classes, "measured", s)
			syncs = (c.EtcdMetrics(0).Sum("etcd_disk_wal_fsync_duration_seconds_count") - syncs) / per
			file := 0.0
			for z := range cluster.Zones {
				file = max(file, c.EtcdMetrics(z).Sum("etcd_mvcc_db_total_size_in_bytes"))
			}
			fmt.Fprintf(&b, "| %d | %.1f | %.0f %% | %.0f | %.0f | %.0f | %.0f | %.0f MiB |\n", mib, r.mbps, 100*r.inline, r.puts, r.brokers, r.etcd, syncs, file/(1<<20))
		})
	}
	publishSection(t, "inline bound", where+"\n\n"+b.String())
}
