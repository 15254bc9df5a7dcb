//go:build performance

package performance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// spread is the median of some rounds, with the least and the largest of them.
func spread(all []float64, digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, median(all), digits, slices.Min(all), digits, slices.Max(all))
}

// of picks one figure of each round.
func of(all []measured, f func(measured) float64) (v []float64) {
	for _, m := range all {
		v = append(v, f(m))
	}
	return v
}

// ratios are the figures of one system over the other's, round by round.
func ratios(a, b []measured, f func(measured) float64) (v []float64) {
	for i := range a {
		v = append(v, f(a[i])/f(b[i]))
	}
	return v
}

func mbps(m measured) float64    { return m.mbps }
func servers(m measured) float64 { return m.brokers + m.etcd }
func all(m measured) float64     { return m.brokers + m.etcd + m.store }

func kafkaTable(ours, theirs *peer, rows []workload) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Median of %d rounds in turn (least–most); ratios are of each round.\n\n", kafkaRounds)
	b.WriteString("| | MB/s, zonewise | Kafka | ratio | ack p50 / p99, ms, zonewise | Kafka |\n|---|---|---|---|---|---|\n")
	for _, w := range rows {
		a, k := ours.measured[w.name], theirs.measured[w.name]
		fmt.Fprintf(&b, "| %s | %s | %s | **%s** | %s | %s |\n", w.name, spread(of(a, mbps), 1), spread(of(k, mbps), 1), spread(ratios(a, k, mbps), 2), latencies(w, a), latencies(w, k))
	}
	b.WriteString("\n| CPU seconds a GiB | zonewise: brokers + etcd + S3 server | Kafka | Kafka : brokers and etcd | Kafka : all of zonewise |\n|---|---|---|---|---|\n")
	for _, w := range rows {
		a, k := ours.measured[w.name], theirs.measured[w.name]
		fmt.Fprintf(&b, "| %s | %.1f + %.1f + %.1f | %s | **%s** | %s |\n", w.name, median(of(a, func(m measured) float64 { return m.brokers })),
			median(of(a, func(m measured) float64 { return m.etcd })), median(of(a, func(m measured) float64 { return m.store })), spread(of(k, servers), 1),
			spread(ratios(k, a, servers), 2), spread(ratios(k, a, all), 2))
	}
	memory := func(p *peer) (most float64) {
		for _, all := range p.measured {
			most = max(most, slices.Max(of(all, func(m measured) float64 { return m.memory })))
		}
		return most
	}
	fmt.Fprintf(&b, "\nPeak memory of brokers and etcd together: zonewise %.0f MiB, Kafka %.0f MiB.", memory(ours), memory(theirs))
	return b.String()
}

func latencies(w workload, all []measured) string {
	if !w.latency {
		return ""
	}
	return fmt.Sprintf("%.0f / %.0f", median(of(all, func(m measured) float64 { return m.p50 })), median(of(all, func(m measured) float64 { return m.p99 })))
}

// flushedTable is what Kafka does where it, too, acknowledges nothing that is
// not on disk.
func flushedTable(ours, theirs, flushed *peer) string {
	var b strings.Builder
	b.WriteString("| with `flush.messages=1` Kafka acknowledges what is on disk, as zonewise does | zonewise | Kafka | Kafka, flushed | zonewise : flushed |\n|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(flushed.measured)) {
		a, f := ours.measured[name], flushed.measured[name]
		fmt.Fprintf(&b, "| %s, MB/s | %s | %s | %s | %s |\n", name, spread(of(a, mbps), 1), spread(of(theirs.measured[name], mbps), 1), spread(of(f, mbps), 1), spread(ratios(a, f, mbps), 2))
		p99 := func(m measured) float64 { return m.p99 }
		fmt.Fprintf(&b, "| ack p99, ms | %s | %s | %s | |\n", spread(of(a, p99), 0), spread(of(theirs.measured[name], p99), 0), spread(of(f, p99), 0))
	}
	return b.String()
}
