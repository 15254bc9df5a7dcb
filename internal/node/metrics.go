package node

import (
	"fmt"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/s3stream/hedge"
	"github.com/zonewise/zonewise/wal"
)

// registerMetrics lists what a node shows beside the Kafka door's own.
func (n *Node) registerMetrics() {
	set := n.cfg.Metrics
	gauge := func(name string, f func() float64) { set.GetOrCreateGauge(name, f) }
	gauge("zonewise_applied_revision", func() float64 { return float64(n.replica.Applied()) })
	gauge("zonewise_follower_lag_revisions", func() float64 { return float64(n.replica.Head() - n.replica.Applied()) })
	gauge("zonewise_unarchived_inline_bytes", func() float64 { return float64(n.replica.Unarchived()) })
	gauge("zonewise_state_time_seconds", func() float64 {
		var t metadata.UnixMilli
		n.replica.View(func(s *metadata.State) { t = s.Time() })
		return float64(t) / 1e3
	})
	gauge("zonewise_alarms_total", func() float64 {
		var a uint64
		n.replica.View(func(s *metadata.State) { a, _ = s.Alarms() })
		_, raised := n.limits.standing()
		return float64(a + raised)
	})
	n.limitMetrics(gauge)
	gauge("zonewise_ready", func() float64 {
		if n.Ready() != nil {
			return 0
		}
		return 1
	})
	gauge(`zonewise_cross_zone_bytes_total{of="log"}`, func() float64 { return float64(n.traffic.inline.Load()) })
	gauge(`zonewise_cross_zone_bytes_total{of="clients"}`, func() float64 { return float64(n.traffic.clients.Load()) })
	n.governorMetrics(gauge)
	n.walMetrics(gauge)
	hedgeMetrics("zonewise_get", gauge, func(f func(hedge.Stats) float64) func() float64 {
		return func() float64 { return f(n.gets.Stats()) }
	})
	set.GetOrCreateGauge("zonewise_etcd_in_use_bytes", func() float64 {
		if h := n.health.Load(); h != nil {
			return float64(h.InUseBytes)
		}
		return 0
	})
}

func (n *Node) governorMetrics(gauge func(string, func() float64)) {
	g := n.governor
	for of, part := range map[string]func(metadata.Cost) int{
		"commits":      func(c metadata.Cost) int { return c.Commits },
		"entry_bytes":  func(c metadata.Cost) int { return c.EntryBytes },
		"runs":         func(c metadata.Cost) int { return c.Runs },
		"inline_bytes": func(c metadata.Cost) int { return c.InlineBytes },
	} {
		gauge(fmt.Sprintf(`zonewise_governor_tokens{of=%q,share="own"}`, of), func() float64 { return float64(part(g.Stats().Own)) })
		gauge(fmt.Sprintf(`zonewise_governor_tokens{of=%q,share="all"}`, of), func() float64 { return float64(part(g.Stats().All)) })
	}
	gauge("zonewise_governor_inline_beyond_share_bytes_total", func() float64 { return g.Stats().InlineBeyond })
	gauge("zonewise_governor_inline_denied_total", func() float64 { return float64(g.Stats().InlineDenied) })
	gauge("zonewise_governor_rate_ratio", func() float64 { return g.Stats().Slow })
	gauge("zonewise_governor_waited_seconds_total", func() float64 { return g.Stats().Waited.Seconds() })
}

// walMetrics shows the present session's WAL; between sessions zeros.
func (n *Node) walMetrics(gauge func(string, func() float64)) {
	of := func(f func(wal.Stats) float64) func() float64 {
		return func() float64 {
			if w := n.writer.wal.Load(); w != nil {
				return f(w.Stats())
			}
			return 0
		}
	}
	gauge("zonewise_wal_pending_bytes", of(func(s wal.Stats) float64 { return float64(s.PendingBytes) }))
	gauge("zonewise_wal_blocked_appends", of(func(s wal.Stats) float64 { return float64(s.BlockedAppends) }))
	gauge("zonewise_wal_objects_in_flight", of(func(s wal.Stats) float64 { return float64(s.ObjectsInFlight) }))
	gauge("zonewise_wal_objects", of(func(s wal.Stats) float64 { return float64(s.Objects) }))
	gauge("zonewise_wal_object_bytes", of(func(s wal.Stats) float64 { return float64(s.ObjectBytes) }))
	hedgeMetrics("zonewise_wal_put", gauge, func(f func(hedge.Stats) float64) func() float64 {
		return of(func(s wal.Stats) float64 { return f(s.PUTs) })
	})
	gauge("zonewise_wal_inline_entries", of(func(s wal.Stats) float64 { return float64(s.InlineEntries) }))
	gauge("zonewise_wal_inline_bytes", of(func(s wal.Stats) float64 { return float64(s.InlineBytes) }))
	gauge("zonewise_wal_order_at_risk", of(func(s wal.Stats) float64 { return float64(s.OrderAtRisk) }))
	gauge("zonewise_handovers_total", func() float64 { finished, _ := n.Handovers(); return float64(finished) })
	for lane := range metadata.LaneCount {
		gauge(fmt.Sprintf(`zonewise_wal_commits{lane=%q}`, lane), of(func(s wal.Stats) float64 { return float64(s.Commits[lane]) }))
	}
}

// hedgeMetrics shows what was sent a second or third time because it was late,
// and what was sent again because it had failed.
func hedgeMetrics(name string, gauge func(string, func() float64), of func(func(hedge.Stats) float64) func() float64) {
	gauge(name+"_hedges", of(func(s hedge.Stats) float64 { return float64(s.Hedges) }))
	gauge(name+"_hedges_won", of(func(s hedge.Stats) float64 { return float64(s.Won) }))
	gauge(name+"_hedges_queued", of(func(s hedge.Stats) float64 { return float64(s.Queued) }))
	gauge(name+"_losers_given_up", of(func(s hedge.Stats) float64 { return float64(s.GivenUp) }))
	gauge(name+`_retries{after="failure"}`, of(func(s hedge.Stats) float64 { return float64(s.Retries) }))
	gauge(name+`_retries{after="silence"}`, of(func(s hedge.Stats) float64 { return float64(s.Repeats) }))
}

// observeWAL makes histograms of a WAL's durations.
func (n *Node) observeWAL(c *wal.Config) {
	set := n.cfg.Metrics
	c.OnCommit = func(lane metadata.Lane, d time.Duration) {
		set.GetOrCreatePrometheusHistogram(fmt.Sprintf(`zonewise_commit_seconds{lane=%q}`, lane)).Update(d.Seconds())
	}
	c.OnUpload = func(_ metadata.Lane, _ int, d time.Duration) {
		set.GetOrCreatePrometheusHistogram("zonewise_upload_seconds").Update(d.Seconds())
	}
	c.OnAck = func(lane metadata.Lane, d time.Duration) {
		set.GetOrCreatePrometheusHistogram(fmt.Sprintf(`zonewise_ack_seconds{lane=%q}`, lane)).Update(d.Seconds())
	}
}

// storeMetrics shows where reads found their bytes, and books GETs that no
// reader claimed.
func (n *Node) storeMetrics() s3stream.Metrics {
	set := n.cfg.Metrics
	return s3stream.Metrics{
		Served: func(from s3stream.Source, bytes int64) {
			set.GetOrCreateCounter(fmt.Sprintf(`zonewise_read_bytes_total{from=%q}`, from)).Add(int(bytes))
		},
		Unclaimed: func(gets uint32) {
			n.platform.add(metadata.CellKey{Topic: metadata.RowPlatform, Component: metadata.ComponentGetPlatform}, uint64(gets))
		},
	}
}
