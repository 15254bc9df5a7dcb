//go:build soak

package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/test/testenv/cluster"
	"github.com/zonewise/zonewise/test/testenv/report"
)

const sampleEvery = 10 * time.Second

// Under flat-out load on small limits nothing grows: bucket, etcd's file, checkpoint, heap.
func TestSteadyUnderLoad(t *testing.T) {
	long := readDuration(t, "SOAK_DURATION", 3*time.Minute)
	r := startRig(t)
	topics, streams := r.createSmall()
	l := r.startLoad(streams...)
	w := r.watch(topics...)
	w.trim(topics[2], trimKeeps, 3*time.Second)
	var early time.Duration // waited in the first half
	s := r.sample(long, func() {
		r.describeLoad(l, w, "load")
		if time.Since(r.began) < long/2 {
			early = time.Duration(l.waited.Load())
		}
	})
	late := time.Duration(l.waited.Load()) - early
	l.finish()
	w.finish()
	r.checkRetained(w, nil)
	r.settle()
	r.takeProblems()
	r.verifyDeep()
	r.checkLogs()
	acked, bytes, _, _ := r.history.Totals()
	s.publish("steady load", fmt.Sprintf("Flat out for %v: %d records, %.1f MB/s; the producers waited %v in the first half and %v in the second for a bucket at its bound; %.0f objects deleted.",
		long, acked, float64(bytes)/1e6/long.Seconds(), early.Round(time.Second), late.Round(time.Second), w.deleted))
	if late > long/20 && long/2 >= shortestJudged {
		t.Errorf("the bucket's bound hides growth: in the second half the load waited %v for it (SOAK_BUCKET raises the bound)", late.Round(time.Second))
	}
}

// An idle cluster does not grow either.
func TestSteadyIdle(t *testing.T) {
	long := readDuration(t, "SOAK_DURATION", 3*time.Minute)
	r := startRig(t)
	_, streams := r.createSmall()
	l := r.startLoad(streams...)
	pause(t, 10*time.Second)
	l.finish()
	s := r.sample(long, func() {})
	r.settle()
	r.takeProblems()
	r.verifyDeep()
	r.checkLogs()
	s.publish("steady idle", fmt.Sprintf("Idle for %v, after ten seconds of load.", long))
}

// samples are the series of a run.
type samples struct {
	r      *rig
	series []*Series
	byName map[string]*Series
	times  []time.Duration
}

// sample takes samples for a time.
func (r *rig) sample(long time.Duration, each func()) *samples {
	r.t.Helper()
	s := &samples{r: r, byName: map[string]*Series{}}
	began := time.Now()
	for next := began; time.Since(began) < long; next = next.Add(sampleEvery) {
		pause(r.t, time.Until(next))
		s.take(time.Since(began))
		if n := len(s.times); n%3 == 1 {
			each()
			r.say("%s", s.describeLast())
		}
		checkDisk(r.t)
	}
	return s
}

func (s *samples) add(at time.Duration, name string, bytes, grows bool, value float64) {
	series := s.byName[name]
	if series == nil {
		series = &Series{Name: name, Bytes: bytes, Grows: grows}
		s.byName[name], s.series = series, append(s.series, series)
	}
	series.Points = append(series.Points, Point{at, value})
}

// take takes one sample of everything.
func (s *samples) take(at time.Duration) {
	r := s.r
	r.t.Helper()
	s.times = append(s.times, at)
	content, err := r.listBucket(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	s.add(at, "bucket bytes", true, false, float64(content.bytes))
	s.add(at, "bucket objects", false, false, float64(content.objects))
	s.add(at, "checkpoint bytes", true, false, r.checkpointBytes(content.newest))
	for z := range cluster.Zones {
		m := r.c.EtcdMetrics(z)
		s.add(at, fmt.Sprintf("etcd %d file bytes", z), true, false, m.Sum("etcd_mvcc_db_total_size_in_bytes"))
		s.add(at, fmt.Sprintf("etcd %d in use bytes", z), true, false, m.Sum("etcd_mvcc_db_total_size_in_use_in_bytes"))
	}
	for i, p := range r.c.Brokers {
		m, err := r.scrape(i)
		if err != nil {
			r.t.Fatalf("broker %d: %v", i, err)
		}
		live := m.Sum("go_gc_heap_live_bytes")
		if live == 0 {
			r.t.Fatalf("broker %d does not export go_gc_heap_live_bytes", i)
		}
		s.add(at, fmt.Sprintf("broker %d heap bytes after a collection", i), true, false, live)
		s.add(at, fmt.Sprintf("broker %d resident bytes", i), true, true, residentBytes(r.t, p.Pid()))
		if i == 0 {
			s.add(at, "dead objects", false, true, m.Sum("zonewise_dead_objects"))
		}
	}
}

// checkpointBytes is the size of all objects that a checkpoint refers to; not a number
// where it was deleted meanwhile.
func (r *rig) checkpointBytes(key string) float64 {
	if key == "" {
		return 0
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	body, err := r.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return math.NaN()
	}
	index, err := metadata.DecodeCheckpointIndex(body)
	if err != nil {
		r.t.Errorf("checkpoint %s: %v", key, err)
		return math.NaN()
	}
	sum := int64(len(body))
	for _, o := range index.Objects[1:] {
		sum += o.Size
	}
	return float64(sum)
}

// residentBytes is the resident memory of a process.
func residentBytes(t *testing.T, pid int) float64 {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb * 1024
		}
	}
	t.Fatalf("process %d has no VmRSS", pid)
	return 0
}

func (s *samples) describeLast() string {
	var parts []string
	for _, series := range s.series {
		parts = append(parts, series.Name+" "+formatValue(series.Points[len(series.Points)-1].Value, series.Bytes))
	}
	return strings.Join(parts, ", ")
}

// publish writes the samples, the plot and the summary, judges each series, and writes the
// section of the document that SOAK_REPORT names.
func (s *samples) publish(section, what string) {
	r := s.r
	r.t.Helper()
	var all []Series
	for _, series := range s.series {
		series.Points = keepNumbers(series.Points)
		all = append(all, *series)
	}
	tsv := r.saveFile("samples.tsv", s.formatTable())
	title := fmt.Sprintf("%s, %s, commit %s", r.t.Name(), time.Now().UTC().Format("2006-01-02"), report.Commit())
	plot := PlotSeries(title, all)
	r.saveFile("plot.svg", plot)
	var verdicts []Verdict
	var table strings.Builder
	table.WriteString("| last half of the run | mean | least to most | slope per 10 minutes | |\n|---|---|---|---|---|\n")
	for _, series := range all {
		v := JudgeSeries(series)
		verdicts = append(verdicts, v)
		r.say("%v", v)
		word := "steady"
		switch {
		case !v.Judged:
			word = "not judged"
		case !v.Steady:
			word = "**grows**"
			r.t.Errorf("%v", v)
		}
		fmt.Fprintf(&table, "| %s | %s | %s to %s | %+.2f %% | %s |\n", v.Name, formatValue(v.Mean, series.Bytes), formatValue(v.Least, series.Bytes), formatValue(v.Most, series.Bytes), v.Percent, word)
	}
	summary, err := json.MarshalIndent(struct {
		Test, Commit, What string
		Machine            string
		Failed             bool
		Series             []Verdict
	}{r.t.Name(), report.Commit(), what, describeMachine(), r.t.Failed(), verdicts}, "", "  ")
	if err != nil {
		r.t.Fatal(err)
	}
	r.saveFile("summary.json", string(summary)+"\n")
	r.say("samples, plot and summary: %s", filepath.Dir(tsv))
	s.writeSection(section, plot, fmt.Sprintf("%s, commit %s, %s. %s\n\n%s", time.Now().UTC().Format("2006-01-02 15:04 MST"), report.Commit(), describeMachine(), what, table.String()))
}

// writeSection writes a section of the document that SOAK_REPORT names, and the plot
// beside it.
func (s *samples) writeSection(section, plot, text string) {
	r := s.r
	r.t.Helper()
	path := os.Getenv("SOAK_REPORT")
	if path == "" {
		return
	}
	if !filepath.IsAbs(path) {
		root, err := cluster.Root()
		if err != nil {
			r.t.Fatal(err)
		}
		path = filepath.Join(root, path)
	}
	picture := strings.ReplaceAll(section, " ", "-") + ".svg"
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), picture), []byte(plot), 0o644); err != nil {
		r.t.Error(err)
	}
	if err := report.Write(path, section, fmt.Sprintf("%s\n![%s](%s)\n", text, section, picture)); err != nil {
		r.t.Error(err)
	}
}

func keepNumbers(points []Point) (out []Point) {
	for _, p := range points {
		if !math.IsNaN(p.Value) {
			out = append(out, p)
		}
	}
	return out
}

// formatTable returns all samples, a line for each time. A value that could not be taken is
// empty.
func (s *samples) formatTable() string {
	var b strings.Builder
	b.WriteString("seconds")
	rows := make([]map[time.Duration]float64, len(s.series))
	for i, series := range s.series {
		b.WriteString("\t" + strings.ReplaceAll(series.Name, " ", "_"))
		rows[i] = map[time.Duration]float64{}
		for _, p := range series.Points {
			rows[i][p.At] = p.Value
		}
	}
	b.WriteString("\n")
	for _, at := range s.times {
		fmt.Fprintf(&b, "%.1f", at.Seconds())
		for i := range rows {
			b.WriteString("\t")
			if v, ok := rows[i][at]; ok {
				fmt.Fprintf(&b, "%.0f", v)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// describeMachine names the processor and the load of the machine.
func describeMachine() string {
	model := "unknown processor"
	if content, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(content)) {
			if _, value, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "model name") {
				model = strings.TrimSpace(value)
			}
		}
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return model
	}
	return fmt.Sprintf("%s, load of the machine at the end %s", model, strings.Join(strings.Fields(string(load))[:3], " "))
}
