package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/metadata"
)

// maxLags bounds the pairs of group and topic whose lag a broker shows.
const maxLags = 1000

// groupLags shows the lag of the groups that this broker coordinates: each group
// is shown by one broker.
type groupLags struct {
	n    *Node
	desc *prometheus.Desc
}

func newGroupLags(n *Node) *groupLags {
	return &groupLags{n, prometheus.NewDesc("zonewise_group_lag_records",
		"Records between a group's committed offsets and the ends of a topic's partitions; reported by the group's coordinator.", []string{"group", "topic"}, nil)}
}

// Describe implements prometheus.Collector.
func (g *groupLags) Describe(out chan<- *prometheus.Desc) { out <- g.desc }

// Collect implements prometheus.Collector. It reads the state group by group:
// reading all of it at once would delay commits.
func (g *groupLags) Collect(out chan<- prometheus.Metric) {
	var names []string
	g.n.replica.View(func(s *metadata.State) { names = s.Groups() })
	left := maxLags
	for _, name := range names {
		if !g.n.groups.Owns(metadata.GroupSlot(name)) {
			continue
		}
		var lags []metadata.GroupLag
		g.n.replica.View(func(s *metadata.State) { lags = s.GroupLags(name) })
		for _, l := range lags[:min(len(lags), left)] {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(l.Records), l.Group, l.Topic)
		}
		if left -= len(lags); left <= 0 {
			return
		}
	}
}
