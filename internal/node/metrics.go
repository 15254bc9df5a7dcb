package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/s3stream/hedge"
	"github.com/zonewise/zonewise/wal"
)

// registrar registers metrics whose values are read when they are scraped.
// labels are names and values in turn.
type registrar struct{ to *prometheus.Registry }

func labelsOf(labels []string) prometheus.Labels {
	out := prometheus.Labels{}
	for i := 0; i < len(labels); i += 2 {
		out[labels[i]] = labels[i+1]
	}
	return out
}

func (r registrar) addGauge(name, help string, f func() float64, labels ...string) {
	r.to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "zonewise_" + name, Help: help, ConstLabels: labelsOf(labels)}, f))
}

func (r registrar) addCounter(name, help string, f func() float64, labels ...string) {
	r.to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "zonewise_" + name, Help: help, ConstLabels: labelsOf(labels)}, f))
}

// registerMetrics registers a node's metrics, in addition to those of package
// broker.
func (n *Node) registerMetrics() {
	r := registrar{n.cfg.Metrics}
	r.addGauge("applied_revision", "etcd revision up to which this broker has applied the log.", func() float64 { return float64(n.replica.Applied()) })
	r.addGauge("follower_lag_revisions", "Revisions of the log that this broker knows of and has not applied.", func() float64 { return float64(n.replica.Head() - n.replica.Applied()) })
	r.addGauge("unarchived_inline_bytes", "Record bytes inside entries that are in no archive yet.", func() float64 { return float64(n.replica.UnarchivedBytes()) })
	r.addGauge("state_time_seconds", "The cluster's time, by which retention and the ledger count, in Unix seconds.", func() float64 {
		var t metadata.UnixMilli
		n.replica.View(func(s *metadata.State) { t = s.Time() })
		return float64(t) / 1e3
	})
	r.addCounter("alarms_total", "Alarms raised: log lines that begin with ALARM.", func() float64 {
		var a uint64
		n.replica.View(func(s *metadata.State) { a, _ = s.Alarms() })
		_, raised := n.limits.activeAlarms()
		return float64(a + raised)
	})
	n.limitMetrics(r)
	n.storageMetrics(r)
	r.addGauge("ready", "1 where this broker serves, else 0.", func() float64 {
		if n.Ready() != nil {
			return 0
		}
		return 1
	})
	const crossing = "Bytes that this broker caused to cross zones: entries of the log through etcd, and what clients of other zones sent and received."
	r.addCounter("cross_zone_bytes_total", crossing, func() float64 { return float64(n.traffic.entryBytes.Load()) }, "of", "log")
	r.addCounter("cross_zone_bytes_total", crossing, func() float64 { return float64(n.traffic.clientBytes.Load()) }, "of", "clients")
	n.governorMetrics(r)
	n.walMetrics(r)
	n.garbageMetrics(r)
	hedgeMetrics(r, "get", "GETs", func(f func(hedge.Stats) float64) func() float64 {
		return func() float64 { return f(n.bucket.Stats()) }
	})
	r.to.MustRegister(newGroupLags(n))
	r.to.MustRegister(&etcdSize{n, prometheus.NewDesc("zonewise_etcd_in_use_bytes", "Size of etcd's database, reported by the broker that archives the log.", nil, nil)})
}

// storageMetrics registers what the bucket holds, divided as in the bill.
func (n *Node) storageMetrics(r registrar) {
	const help = "Bytes in the bucket, as the bill has them: records, deleted records whose objects are not deleted yet, and what is no topic's."
	for of, part := range map[string]func(metadata.StorageTotals) int64{
		"live":     func(t metadata.StorageTotals) int64 { return t.Live - t.Unarchived },
		"deleted":  func(t metadata.StorageTotals) int64 { return t.Dead },
		"platform": func(t metadata.StorageTotals) int64 { return t.Platform },
	} {
		r.addGauge("bucket_bytes", help, func() float64 {
			var t metadata.StorageTotals
			n.replica.View(func(s *metadata.State) { t = s.StorageTotals() })
			return float64(part(t))
		}, "of", of)
	}
}

// etcdSize is a gauge that is shown only by the broker that has the value.
type etcdSize struct {
	n    *Node
	desc *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (e *etcdSize) Describe(out chan<- *prometheus.Desc) { out <- e.desc }

// Collect implements prometheus.Collector.
func (e *etcdSize) Collect(out chan<- prometheus.Metric) {
	if h := e.n.health.Load(); h != nil {
		out <- prometheus.MustNewConstMetric(e.desc, prometheus.GaugeValue, float64(h.InUseBytes))
	}
}

func (n *Node) governorMetrics(r registrar) {
	g := n.governor
	const tokens = "What the rates of the cluster leave just now, of this broker's share and of all."
	for of, part := range map[string]func(metadata.Cost) int{
		"commits":      func(c metadata.Cost) int { return c.Commits },
		"entry_bytes":  func(c metadata.Cost) int { return c.EntryBytes },
		"runs":         func(c metadata.Cost) int { return c.Runs },
		"inline_bytes": func(c metadata.Cost) int { return c.InlineBytes },
	} {
		r.addGauge("governor_tokens", tokens, func() float64 { return float64(part(g.Stats().Own)) }, "of", of, "share", "own")
		r.addGauge("governor_tokens", tokens, func() float64 { return float64(part(g.Stats().All)) }, "of", of, "share", "all")
	}
	r.addCounter("governor_inline_beyond_share_bytes_total", "Record bytes in entries beyond this broker's share, which others left.", func() float64 { return g.Stats().InlineBeyond })
	r.addCounter("governor_inline_denied_total", "Buffers that became objects because the rate of inline bytes was used up.", func() float64 { return float64(g.Stats().InlineDenied) })
	r.addGauge("governor_rate_ratio", "Part of the rates that is left because a limit of the state is near; 1: all.", func() float64 { return g.Stats().DataFraction })
	r.addCounter("governor_waited_seconds_total", "Time that commits waited for the cluster's rates.", func() float64 { return g.Stats().Waited.Seconds() })
}

// walMetrics registers the metrics of the present session's WAL; zeros between
// sessions.
func (n *Node) walMetrics(r registrar) {
	of := func(f func(wal.Stats) float64) func() float64 {
		return func() float64 {
			if w := n.writer.wal.Load(); w != nil {
				return f(w.Stats())
			}
			return 0
		}
	}
	r.addGauge("wal_pending_bytes", "Record bytes that are not acknowledged yet.", of(func(s wal.Stats) float64 { return float64(s.PendingBytes) }))
	r.addGauge("wal_blocked_appends", "Batches that wait for memory; their connections are not read.", of(func(s wal.Stats) float64 { return float64(s.BlockedAppends) }))
	r.addGauge("wal_objects_in_flight", "Objects that are being uploaded.", of(func(s wal.Stats) float64 { return float64(s.ObjectsInFlight) }))
	r.addCounter("wal_objects_total", "Objects committed.", of(func(s wal.Stats) float64 { return float64(s.Objects) }))
	r.addCounter("wal_object_bytes_total", "Record bytes committed in objects.", of(func(s wal.Stats) float64 { return float64(s.ObjectBytes) }))
	hedgeMetrics(r, "wal_put", "PUTs of objects", func(f func(hedge.Stats) float64) func() float64 {
		return of(func(s wal.Stats) float64 { return f(s.PUTs) })
	})
	r.addCounter("wal_inline_entries_total", "Entries that carried record bytes.", of(func(s wal.Stats) float64 { return float64(s.InlineEntries) }))
	r.addCounter("wal_inline_bytes_total", "Record bytes committed inside entries.", of(func(s wal.Stats) float64 { return float64(s.InlineBytes) }))
	r.addCounter("wal_order_at_risk_total", "Batches without idempotence that may have passed others of their producer.", of(func(s wal.Stats) float64 { return float64(s.OrderAtRisk) }))
	r.addCounter("handovers_total", "Partitions taken over after their former broker had finished them.", func() float64 { finished, _ := n.Handovers(); return float64(finished) })
	for lane := range metadata.LaneCount {
		r.addCounter("wal_commits_total", "Entries committed, by lane.", of(func(s wal.Stats) float64 { return float64(s.Commits[lane]) }), "lane", lane.String())
	}
}

// hedgeMetrics registers what was sent a second or third time because it was
// late, and what was sent again because it had failed.
func hedgeMetrics(r registrar, name, of string, from func(func(hedge.Stats) float64) func() float64) {
	count := func(what, help string, f func(hedge.Stats) float64, labels ...string) {
		r.addCounter(name+"_"+what+"_total", of+help, from(f), labels...)
	}
	count("hedges", " sent another time because they were late.", func(s hedge.Stats) float64 { return float64(s.Hedges) })
	count("hedges_won", " whose second request was faster.", func(s hedge.Stats) float64 { return float64(s.Won) })
	count("hedges_queued", " that were late while too many others were.", func(s hedge.Stats) float64 { return float64(s.Queued) })
	count("losers_given_up", " given up after another one had won.", func(s hedge.Stats) float64 { return float64(s.GivenUp) })
	count("retries", " sent again, after a failure or for want of an answer.", func(s hedge.Stats) float64 { return float64(s.Retries) }, "after", "failure")
	count("retries", " sent again, after a failure or for want of an answer.", func(s hedge.Stats) float64 { return float64(s.Repeats) }, "after", "silence")
}

// walDurations are the histograms of the WAL's steps, over all sessions.
type walDurations struct {
	commit, ack *prometheus.HistogramVec
	upload      prometheus.Histogram
}

// durationBuckets go from 1 ms to 16 s, in seconds.
func durationBuckets() []float64 { return prometheus.ExponentialBuckets(0.001, 2, 15) }

func newWALDurations(to *prometheus.Registry) *walDurations {
	opts := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: "zonewise_" + name, Help: help, Buckets: durationBuckets()}
	}
	d := &walDurations{
		commit: prometheus.NewHistogramVec(opts("commit_seconds", "From sending an entry to etcd until it is applied here."), []string{"lane"}),
		ack:    prometheus.NewHistogramVec(opts("ack_seconds", "From taking a batch until it is acknowledged."), []string{"lane"}),
		upload: prometheus.NewHistogram(opts("upload_seconds", "Uploads of objects, with their retries.")),
	}
	to.MustRegister(d.commit, d.ack, d.upload)
	return d
}

// newApplySeconds registers the histogram of how long entries stop apply.
func newApplySeconds(to *prometheus.Registry) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "zonewise_apply_seconds",
		Help:    "For how long each entry of the log stopped apply, and readers of the state, on this broker.",
		Buckets: []float64{0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1}})
	to.MustRegister(h)
	return h
}

// observeWAL sets histograms as the observers of a WAL's durations.
func (n *Node) observeWAL(c *wal.Config) {
	h := n.durations
	c.OnCommit = func(lane metadata.Lane, d time.Duration) {
		h.commit.WithLabelValues(lane.String()).Observe(d.Seconds())
	}
	c.OnUpload = func(_ metadata.Lane, _ int, d time.Duration) { h.upload.Observe(d.Seconds()) }
	c.OnAck = func(lane metadata.Lane, d time.Duration) { h.ack.WithLabelValues(lane.String()).Observe(d.Seconds()) }
}

// storeMetrics registers where reads found their bytes, and books GETs that no
// reader claimed.
func (n *Node) storeMetrics() s3stream.Metrics {
	served := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zonewise_read_bytes_total", Help: "Record bytes read for consumers, by where they were."}, []string{"from"})
	n.cfg.Metrics.MustRegister(served)
	return s3stream.Metrics{
		Served: func(from s3stream.Source, bytes int64) { served.WithLabelValues(from.String()).Add(float64(bytes)) },
		Unclaimed: func(gets uint32) {
			n.platform.addRequests(metadata.CellKey{Topic: metadata.RowPlatform, Component: costkeys.ComponentGetPlatform}, uint64(gets))
		},
	}
}
