package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/internal/garbage"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// newCollector returns the session's collector of garbage.
func (s *session) newCollector(m *metadata.Maintenance) *garbage.Collector {
	n := s.n
	c := garbage.Config{Bucket: n.bucket, Replica: n.replica, Submitter: s.wal, Logger: n.cfg.Logger, Grace: n.cfg.Times.Grace,
		LeftoverGrace: n.cfg.Times.LeftoverGrace, Stats: &n.garbage, SetFullness: func(percent int) { m.SetFullness(garbage.Role, percent) }}
	if u, ok := bucket.Prefix(n.cfg.Bucket, n.cfg.Cluster).(bucket.UploadAborter); ok {
		c.Uploads = u
	}
	return garbage.New(c)
}

// garbageMetrics registers what is dead in the bucket, and what the roles do.
func (n *Node) garbageMetrics(r registrar) {
	dead := func(f func(objects int, bytes int64) float64) func() float64 {
		return func() (v float64) {
			n.replica.View(func(s *metadata.State) { v = f(s.GarbageTotals()) })
			return v
		}
	}
	r.addGauge("dead_objects", "Objects in the bucket that nothing needs any more and whose deletion is not confirmed.", dead(func(objects int, _ int64) float64 { return float64(objects) }))
	r.addGauge("dead_object_bytes", "Bytes of those objects.", dead(func(_ int, bytes int64) float64 { return float64(bytes) }))
	r.addGauge("queued_releases", "Trimmed partitions and deleted topics whose records are not released yet.", func() (v float64) {
		n.replica.View(func(s *metadata.State) { v = float64(s.QueuedReleases()) })
		return v
	})
	r.addCounter("garbage_deleted_total", "Objects that this broker deleted from the bucket.", func() float64 { return float64(n.garbage.Totals().Deleted) })
	r.addCounter("garbage_deleted_bytes_total", "Bytes of those objects.", func() float64 { return float64(n.garbage.Totals().DeletedBytes) })
	r.addCounter("garbage_failed_total", "Deletions that the bucket did not confirm; they are tried again.", func() float64 { return float64(n.garbage.Totals().Failed) })
	r.addCounter("garbage_leftovers_total", "Objects that ended sessions had left, found by this broker.", func() float64 { return float64(n.garbage.Totals().Leftovers) })
	for _, reason := range garbage.HeldReasons() {
		r.addGauge("garbage_held", "1 where this broker deletes nothing for this reason, else 0.", func() float64 {
			if n.garbage.Totals().Held == reason {
				return 1
			}
			return 0
		}, "reason", string(reason))
	}
	r.to.MustRegister(&jobMetrics{n,
		prometheus.NewDesc("zonewise_job_fullness_percent", "How much of what a pass of a role's work may do the last one did; 100 again and again: it falls behind.", []string{"role"}, nil),
		prometheus.NewDesc("zonewise_job_success_age_seconds", "Time since a pass of a role's work last succeeded, at the broker that holds the role.", []string{"role"}, nil)})
}

// jobMetrics are gauges of the roles that this broker holds.
type jobMetrics struct {
	n             *Node
	fullness, age *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (m *jobMetrics) Describe(out chan<- *prometheus.Desc) { out <- m.fullness; out <- m.age }

// Collect implements prometheus.Collector.
func (m *jobMetrics) Collect(out chan<- prometheus.Metric) {
	jobs := m.n.jobs.Load()
	if jobs == nil {
		return
	}
	for _, j := range jobs.Jobs() {
		if !j.Held {
			continue
		}
		out <- prometheus.MustNewConstMetric(m.fullness, prometheus.GaugeValue, float64(j.Fullness), j.Role)
		out <- prometheus.MustNewConstMetric(m.age, prometheus.GaugeValue, time.Since(j.LastSuccess).Seconds(), j.Role)
	}
}
