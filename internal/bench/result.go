package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Result is what a run has found.
type Result struct {
	Mode     Mode             `json:"mode"`
	Topic    string           `json:"topic"`
	Seconds  float64          `json:"seconds"`
	Produced Flow             `json:"produced"`
	Consumed Flow             `json:"consumed"`
	Unread   int64            `json:"unread_offsets"`   // at the ends of partitions, of a consume run
	Faults   *Faults          `json:"faults,omitempty"` // nil: nothing was read
	Brokers  *Brokers         `json:"brokers,omitempty"`
	Errors   map[string]int64 `json:"errors"`
}

// Flow is one direction.
type Flow struct {
	Records int64   `json:"records"`
	Bytes   int64   `json:"bytes"` // of values
	PerSec  float64 `json:"records_per_second"`
	MBps    float64 `json:"mb_per_second"` // 10^6 bytes
	Latency Latency `json:"latency"`
}

// Latency is a distribution, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

func latencyOf(h *Histogram) Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{ms(h.Quantile(0.5)), ms(h.Quantile(0.99)), ms(h.Quantile(0.999)), ms(h.Max())}
}

func flowOf(records, bytes int64, seconds float64, h *Histogram) Flow {
	f := Flow{Records: records, Bytes: bytes, Latency: latencyOf(h)}
	if seconds > 0 {
		f.PerSec, f.MBps = float64(records)/seconds, float64(bytes)/1e6/seconds
	}
	return f
}

func (r *runner) buildResult(whole time.Duration) *Result {
	if r.took == 0 {
		r.took = whole
	}
	s := r.took.Seconds()
	out := &Result{Mode: r.Mode, Topic: r.Topic, Seconds: s, Errors: map[string]int64{}}
	out.Produced = flowOf(r.produceStats.records.Load(), r.produceStats.bytes.Load(), s, &r.produceStats.latency)
	out.Consumed = flowOf(r.consumeStats.records.Load(), r.consumeStats.bytes.Load(), s, &r.consumeStats.latency)
	for _, from := range []map[string]int64{r.produceStats.errors, r.consumeStats.errors} {
		for k, n := range from {
			out.Errors[k] += n
		}
	}
	if r.Mode == ModeConsume {
		out.Unread = r.countUnread()
	}
	if r.verifier != nil {
		var want map[lineage]uint64
		if r.Mode == ModeE2E && r.Acks != "none" {
			want = r.produceStats.acknowledged()
		}
		f := r.verifier.finalFaults(want, r.produceStats.failedCount)
		out.Faults = &f
	}
	return out
}

// WriteJSON writes the result for programs.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	out := &printer{w: w}
	out.printLine("%s on topic %s, %.1f s", r.Mode, r.Topic, r.Seconds)
	out.printFlow("produced", r.Produced, "ack")
	out.printFlow("consumed", r.Consumed, "end to end")
	if r.Unread > 0 {
		out.printLine("  %d offsets at the ends of partitions were not read: too late, or they hold no record (markers, compaction, a recovery)", r.Unread)
	}
	if f := r.Faults; f != nil {
		verdict := "verified: nothing missing, repeated, out of order or changed"
		if f.Bad() {
			verdict = fmt.Sprintf("WRONG: %d missing, %d repeated, %d offsets back, %d changed; the first: %s", f.Missing, f.Repeated, f.OffsetBack, f.Changed, f.First)
		}
		out.printLine("  %s", verdict)
		if f.Foreign > 0 {
			out.printLine("  %d records of other runs or programs", f.Foreign)
		}
	}
	if b := r.Brokers; b != nil {
		out.printLine("  brokers   %s S3 requests per GiB, %s bytes across zones per GiB, %s CPU seconds per GiB",
			formatOptional(b.S3RequestsPerGiB, "%.1f"), formatOptional(b.CrossZoneBytesPerGiB, "%.0f"), formatOptional(b.CPUSecondsPerGiB, "%.2f"))
	}
	names := make([]string, 0, len(r.Errors))
	for name := range r.Errors {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		out.printLine("  error     %d times: %s", r.Errors[name], name)
	}
	return out.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printLine(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) printFlow(what string, f Flow, latency string) {
	if f.Records == 0 {
		return
	}
	p.printLine("  %-9s %d records, %.0f/s, %.2f MB/s; %s p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms",
		what, f.Records, f.PerSec, f.MBps, latency, f.Latency.P50, f.Latency.P99, f.Latency.P999, f.Latency.Max)
}

func formatOptional(v *float64, format string) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprintf(format, *v)
}
