//go:build performance

package performance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// formatSpread formats the median with the minimum and the maximum.
func formatSpread(all []float64, digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, median(all), digits, slices.Min(all), digits, slices.Max(all))
}

// figuresOf picks one figure of each round.
func figuresOf(all []measurement, f func(measurement) float64) (v []float64) {
	for _, m := range all {
		v = append(v, f(m))
	}
	return v
}

// figureRatios divides the figures of a by those of b, round by round.
func figureRatios(a, b []measurement, f func(measurement) float64) (v []float64) {
	for i := range a {
		v = append(v, f(a[i])/f(b[i]))
	}
	return v
}

func throughputOf(m measurement) float64 { return m.mbps }
func serverCPU(m measurement) float64    { return m.brokers + m.etcd }
func totalCPU(m measurement) float64     { return m.brokers + m.etcd + m.store }

func kafkaTable(ours, theirs *comparedSystem, rows []workload) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Median of %d alternating rounds (minimum–maximum); ratios are per round.\n\n", kafkaRounds)
	b.WriteString("| | MB/s, zonewise | Kafka | ratio | ack p50 / p99, ms, zonewise | Kafka |\n|---|---|---|---|---|---|\n")
	for _, w := range rows {
		a, k := ours.measured[w.name], theirs.measured[w.name]
		fmt.Fprintf(&b, "| %s | %s | %s | **%s** | %s | %s |\n", w.name, formatSpread(figuresOf(a, throughputOf), 1), formatSpread(figuresOf(k, throughputOf), 1), formatSpread(figureRatios(a, k, throughputOf), 2), formatLatencies(w, a), formatLatencies(w, k))
	}
	b.WriteString("\n| CPU seconds per GiB | zonewise: brokers + etcd + S3 server | Kafka | Kafka : brokers and etcd | Kafka : all of zonewise |\n|---|---|---|---|---|\n")
	for _, w := range rows {
		a, k := ours.measured[w.name], theirs.measured[w.name]
		fmt.Fprintf(&b, "| %s | %.1f + %.1f + %.1f | %s | **%s** | %s |\n", w.name, median(figuresOf(a, func(m measurement) float64 { return m.brokers })),
			median(figuresOf(a, func(m measurement) float64 { return m.etcd })), median(figuresOf(a, func(m measurement) float64 { return m.store })), formatSpread(figuresOf(k, serverCPU), 1),
			formatSpread(figureRatios(k, a, serverCPU), 2), formatSpread(figureRatios(k, a, totalCPU), 2))
	}
	memory := func(p *comparedSystem) (most float64) {
		for _, all := range p.measured {
			most = max(most, slices.Max(figuresOf(all, func(m measurement) float64 { return m.memory })))
		}
		return most
	}
	fmt.Fprintf(&b, "\nPeak memory of brokers and etcd in total: zonewise %.0f MiB, Kafka %.0f MiB.", memory(ours), memory(theirs))
	return b.String()
}

func formatLatencies(w workload, all []measurement) string {
	if !w.latency {
		return ""
	}
	return fmt.Sprintf("%.0f / %.0f", median(figuresOf(all, func(m measurement) float64 { return m.p50 })), median(figuresOf(all, func(m measurement) float64 { return m.p99 })))
}

// flushedTable compares with a Kafka that acknowledges only what is on disk.
func flushedTable(ours, theirs, flushed *comparedSystem) string {
	var b strings.Builder
	b.WriteString("| with `flush.messages=1` Kafka acknowledges only what is on disk, like zonewise | zonewise | Kafka | Kafka, flushed | zonewise : flushed |\n|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(flushed.measured)) {
		a, f := ours.measured[name], flushed.measured[name]
		fmt.Fprintf(&b, "| %s, MB/s | %s | %s | %s | %s |\n", name, formatSpread(figuresOf(a, throughputOf), 1), formatSpread(figuresOf(theirs.measured[name], throughputOf), 1), formatSpread(figuresOf(f, throughputOf), 1), formatSpread(figureRatios(a, f, throughputOf), 2))
		p99 := func(m measurement) float64 { return m.p99 }
		fmt.Fprintf(&b, "| ack p99, ms | %s | %s | %s | |\n", formatSpread(figuresOf(a, p99), 0), formatSpread(figuresOf(theirs.measured[name], p99), 0), formatSpread(figuresOf(f, p99), 0))
	}
	return b.String()
}
