package soak

import (
	"math"
	"strings"
	"testing"
	"time"
)

var tp = TopicPartition{"topic", 3}

// record writes n records of a producer to the sweep, from a sequence and an offset on.
func readRecords(w *Sweep, s *RecordSource, offset, seq int64, n int) {
	for i := range int64(n) {
		id := RecordID{7, 3, seq + i}
		w.AddRecord(offset+i, s.Key(id), s.Value(id, 100))
	}
}

func ackRecords(h *History, offset, seq int64, n int) {
	for i := range int64(n) {
		h.Acked(tp, offset+i, RecordID{7, 3, seq + i}, time.Now(), 100)
	}
}

func TestASweepNamesWhatIsWrong(t *testing.T) {
	s := NewRecordSource(1)
	for _, c := range []struct {
		name, want string
		read       func(h *History, w *Sweep)
	}{
		{"all well", "", func(h *History, w *Sweep) { readRecords(w, s, 10, 0, 20); w.Finish(30) }},
		{"the end is lost", "ends at 25, and its end is 30; 5 of them were acknowledged, the first at 25",
			func(h *History, w *Sweep) { readRecords(w, s, 10, 0, 15); w.Finish(30) }},
		{"a hole", "offsets 15 to 19 are not there; 5 of them were acknowledged, the first at 15",
			func(h *History, w *Sweep) { readRecords(w, s, 10, 0, 5); readRecords(w, s, 20, 10, 10); w.Finish(30) }},
		{"a hole that recovery explains", "",
			func(h *History, w *Sweep) {
				h.Lose(tp, 15)
				h.GaveUp(RecordID{7, 3, 5})
				w.AllowGap(15, 20)
				readRecords(w, s, 10, 0, 5)
				readRecords(w, s, 20, 5, 10)
			}},
		{"retention was faster", "", func(h *History, w *Sweep) { w.PassLogStart(20); readRecords(w, s, 20, 10, 10); w.Finish(30) }},
		{"another record", "at 10: record 1 of producer 7 on partition 3, acknowledged was record 0", func(h *History, w *Sweep) { readRecords(w, s, 10, 1, 1) }},
		{"twice", "record 4 of producer 7 on partition 3 after its record 4: it is there twice",
			func(h *History, w *Sweep) {
				h.Forget(tp, 5000)
				readRecords(w, s, 10, 0, 5)
				readRecords(w, s, 15, 4, 1)
			}},
		{"lost between two", "3 records between them are lost",
			func(h *History, w *Sweep) {
				h.Forget(tp, 5000)
				readRecords(w, s, 10, 0, 5)
				readRecords(w, s, 15, 8, 1)
			}},
		{"offset twice", "offset 14 after 14", func(h *History, w *Sweep) { readRecords(w, s, 10, 0, 5); readRecords(w, s, 14, 4, 1) }},
		{"value cut", "99 bytes, 100 were written", func(h *History, w *Sweep) {
			id := RecordID{7, 3, 0}
			w.AddRecord(10, s.Key(id), s.Value(id, 100)[:99])
		}},
		{"value flipped", "its value differs", func(h *History, w *Sweep) {
			id := RecordID{7, 3, 0}
			v := s.Value(id, 100)
			v[50] ^= 1
			w.AddRecord(10, s.Key(id), v)
		}},
		{"key of another", "its key is", func(h *History, w *Sweep) {
			w.AddRecord(10, s.Key(RecordID{7, 3, 1}), s.Value(RecordID{7, 3, 0}, 100))
		}},
		{"too much deleted", "500 bytes are left from log start 10 to 30, fewer than retention.bytes = 501",
			func(h *History, w *Sweep) {
				w.AddBatch(10, 29, 500)
				readRecords(w, s, 10, 0, 20)
				w.CheckBytes(500)
				w.CheckBytes(501)
			}},
		{"offset given twice", "offset 12 was acknowledged for record 2 of producer 7 on partition 3 and for record 9",
			func(h *History, w *Sweep) { ackRecords(h, 12, 9, 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHistory()
			ackRecords(h, 10, 0, 20)
			c.read(h, NewSweep(tp, h, s, 10))
			list, more := h.TakeProblems()
			text := strings.Join(list, "\n")
			if (c.want == "") != (text == "") || !strings.Contains(text, c.want) || more > 0 {
				t.Errorf("%d and %d problems:\n%s\nwant %q", len(list), more, text, c.want)
			}
		})
	}
}

// What was acknowledged is forgotten by blocks, and offsets may jump far.
func TestAHistoryForgets(t *testing.T) {
	h := NewHistory()
	ackRecords(h, 0, 0, 3*blockOffsets)
	ackRecords(h, 1<<30, 3*blockOffsets, 10)
	h.Forget(tp, 2*blockOffsets+5)
	if n := len(h.partition(tp).blocks); n != 2 {
		t.Errorf("%d blocks are kept, want 2", n)
	}
	if n, first := h.Between(tp, 2*blockOffsets+5, 1<<40); n != blockOffsets-5+10 || first != 2*blockOffsets+5 {
		t.Errorf("%d from %d on", n, first)
	}
	if n, end := h.Lose(tp, 3*blockOffsets); n != 10 || end != 1<<30+10 || h.End(tp) != 3*blockOffsets {
		t.Errorf("%d records up to %d are lost, the end is %d", n, end, h.End(tp))
	}
}

func TestASteadySeriesIsToldFromOneThatGrows(t *testing.T) {
	series := func(bytes bool, value func(minute float64) float64) Series {
		s := Series{Name: "x", Bytes: bytes}
		for at := time.Duration(0); at <= time.Hour; at += 10 * time.Second {
			s.Points = append(s.Points, Point{at, value(at.Minutes())})
		}
		return s
	}
	for _, c := range []struct {
		name   string
		s      Series
		steady bool
	}{
		{"level with a period", series(false, func(m float64) float64 { return 1000 + 300*math.Sin(7*m) }), true},
		{"grows at first only", series(false, func(m float64) float64 { return min(m, 20) * 1000 }), true},
		{"3 % in ten minutes", series(false, func(m float64) float64 { return 1000 + 3.2*m }), false},
		{"grows by 2 MiB of 10", series(true, func(m float64) float64 { return 10<<20 + m/10*2*(1<<20) }), false},
		{"grows by half a MiB of 10", series(true, func(m float64) float64 { return 10<<20 + m/20*(1<<20) }), true},
		{"grows by 1 % of a GiB", series(true, func(m float64) float64 { return 1 << 30 * (1 + m/1000) }), true},
		{"shrinks", series(false, func(m float64) float64 { return 1000 - 10*m }), true},
	} {
		if v := JudgeSeries(c.s); v.Steady != c.steady || !v.Judged {
			t.Errorf("%s: %v", c.name, v)
		}
	}
	short := series(false, func(m float64) float64 { return m })
	short.Points = short.Points[:60]
	if v := JudgeSeries(short); v.Judged {
		t.Errorf("ten minutes are judged: %v", v)
	}
	if svg := PlotSeries("a < b", []Series{short}); !strings.Contains(svg, "<polyline") || !strings.Contains(svg, "a &lt; b") {
		t.Errorf("a plot of %d bytes", len(svg))
	}
}
