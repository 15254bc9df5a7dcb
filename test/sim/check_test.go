package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

var t0 = time.Unix(1_000_000, 0)

// goodHistory is a history without violations: two producers on one partition, one
// reader, a group, two brokers.
func goodHistory() *History {
	h := newHistory()
	tp := TP{"t", 0}
	tail := FinalLog{Start: 0}
	for n := range 10 {
		producer := []string{"sure", "plain"}[n%2]
		b := Batch{Record{producer, tp, n / 2}, 1, producer == "sure"}
		h.Sent = append(h.Sent, b)
		h.Acks = append(h.Acks, Ack{b, int64(n), t0.Add(time.Duration(n) * time.Second)})
		tail.Reads = append(tail.Reads, Read{Offset: int64(n), Record: b.First})
	}
	tail.End = 10
	second := tail
	second.Reads = append([]Read(nil), tail.Reads...)
	h.FinalLogs[tp] = map[string]FinalLog{"a0": tail, "b0": second}
	h.Reads["r t/0"] = []Reading{{From: 0, Reads: append([]Read(nil), tail.Reads[:4]...)}, {From: 4, Reads: append([]Read(nil), tail.Reads[4:]...)}}
	for n := range 5 {
		at := t0.Add(time.Duration(n) * time.Second)
		h.OffsetEvents = append(h.OffsetEvents,
			OffsetEvent{Group: "g", TP: tp, Offset: int64(n), OK: true, Begun: at, End: at.Add(time.Millisecond)},
			OffsetEvent{Group: "g", TP: tp, Offset: int64(n), OK: true, Fetch: true, Begun: at.Add(2 * time.Millisecond), End: at.Add(3 * time.Millisecond)})
	}
	h.Hashes = []StateHash{{"a0.1", 7, 1}, {"b0.1", 7, 1}, {"a0.1", 8, 2}}
	h.Assignments = []GroupAssignment{{"g", 1, "m0", []int32{0}, 0}, {"g", 1, "m1", []int32{1}, 0}}
	h.Ownerships = []Ownership{{"s", 0, "c0", t0, t0.Add(time.Second)}, {"s", 0, "c1", t0.Add(time.Second), t0.Add(2 * time.Second)}, {"s", 1, "c0", t0, t0.Add(2 * time.Second)}}
	id := metadata.TopicID{1}
	h.Ledger = &Ledger{At: t0, Topics: map[string]metadata.TopicID{"t": id}, Opened: map[string]bool{"a0.1": true},
		Requests: []Request{{bucket.OpPut, t0.Add(-time.Minute), "a0.1"}, {bucket.OpPut, t0, "a0.1"}, {bucket.OpList, t0.Add(-time.Minute), "a0.2"}}}
	h.Ledger.Window.Cells = []metadata.Cell{{Key: metadata.CellKey{Topic: id, Component: costkeys.ComponentRecordsIn}, Quantity: costkeys.Units(10)},
		{Key: metadata.CellKey{Topic: id, Component: costkeys.ComponentPut}, Quantity: costkeys.Requests(1)}}
	h.Ledger.Window.Meters = []metadata.Cell{{Key: metadata.CellKey{Component: costkeys.ComponentRecordsIn}, Quantity: costkeys.Units(10)},
		{Key: metadata.CellKey{Component: costkeys.ComponentPut}, Quantity: costkeys.Requests(1)}}
	return h
}

func TestChecksPassAGoodHistory(t *testing.T) {
	if wrong := goodHistory().Check(); len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
}

// Each kind of violation is found and named.
func TestChecksFindEachBrokenPromise(t *testing.T) {
	tp := TP{"t", 0}
	both := func(h *History, change func(*FinalLog)) {
		for name, tail := range h.FinalLogs[tp] {
			tail.Reads = append([]Read(nil), tail.Reads...)
			change(&tail)
			h.FinalLogs[tp][name] = tail
		}
	}
	for _, c := range []struct {
		finds string
		spoil func(h *History)
	}{
		{"acknowledged and lost", func(h *History) { both(h, func(l *FinalLog) { l.Reads = l.Reads[:9]; l.End = 9 }) }},
		{"acknowledged and replaced", func(h *History) {
			both(h, func(l *FinalLog) { l.Reads[3].Record, l.Reads[5].Record = l.Reads[5].Record, l.Reads[3].Record })
		}},
		{"acknowledged and lost", func(h *History) { h.Acks[9].Base = 12 }},
		{"ledger", func(h *History) { h.Ledger.Window.Meters[0].Quantity = costkeys.Units(11) }},
		{"ledger", func(h *History) { h.Ledger.Requests = nil }},
		{"ledger", func(h *History) { h.Ledger.Requests[1].At = t0.Add(-time.Minute) }},
		{"ledger", func(h *History) {
			h.Ledger.Window.Cells[0].Quantity, h.Ledger.Window.Meters[0].Quantity = costkeys.Units(9), costkeys.Units(9)
		}},
		{"acknowledged and lost", func(h *History) {
			h.Acks[9].Base = Unknown
			both(h, func(l *FinalLog) { l.Reads = l.Reads[:9]; l.End = 9 })
		}},
		{"gap", func(h *History) {
			both(h, func(l *FinalLog) { l.Reads = append(l.Reads[:4:4], l.Reads[5:]...) })
		}},
		{"gap", func(h *History) { both(h, func(l *FinalLog) { l.End = 11 }) }},
		{"gap", func(h *History) { both(h, func(l *FinalLog) { l.Reads[4].Offset = 3 }) }},
		{"twice or out of order", func(h *History) {
			both(h, func(l *FinalLog) {
				l.Reads = append(l.Reads, Read{Offset: 10, Record: Record{"sure", tp, 2}})
				l.End = 11
			})
		}},
		{"out of order", func(h *History) {
			both(h, func(l *FinalLog) { l.Reads[1].Record.N, l.Reads[3].Record.N = 1, 0 })
		}},
		{"never sent", func(h *History) {
			both(h, func(l *FinalLog) {
				l.Reads = append(l.Reads, Read{Offset: 10, Record: Record{"who", tp, 0}})
				l.End = 11
			})
		}},
		{"brokers differ", func(h *History) {
			l := h.FinalLogs[tp]["b0"]
			l.End = 9
			h.FinalLogs[tp]["b0"] = l
		}},
		{"offset given twice", func(h *History) { h.Acks[3].Base = 2 }},
		{"never acknowledged", func(h *History) { h.Acks = h.Acks[:9] }},
		{"read again", func(h *History) {
			h.Reads["r t/0"] = append(h.Reads["r t/0"], Reading{From: 4, Reads: h.FinalLogs[tp]["a0"].Reads[4:6]})
		}},
		{"skipped by a reader", func(h *History) { h.Reads["r t/0"][1].Reads = h.Reads["r t/0"][1].Reads[1:] }},
		{"read differently", func(h *History) { h.Reads["r t/0"][0].Reads[2].Record.N = 4 }},
		{"read and lost", func(h *History) {
			both(h, func(l *FinalLog) { l.Reads = l.Reads[:9]; l.End = 9 })
		}},
		{"reader got an unexpected out-of-range", func(h *History) {
			h.Reads["r t/0"] = append(h.Reads["r t/0"], Reading{From: 10, Reset: true})
		}},
		{"reader stuck", func(h *History) { h.Reads["r t/0"] = h.Reads["r t/0"][:1] }},
		{"committed offset went back", func(h *History) { h.OffsetEvents[9].Offset = 3 }},
		{"offset never committed", func(h *History) { h.OffsetEvents[9].Offset = 9 }},
		{"states differ", func(h *History) { h.Hashes[1].Hash = 9 }},
		{"two owners", func(h *History) { h.Ownerships[0].Till = h.Ownerships[0].Till.Add(time.Millisecond) }},
		{"two owners", func(h *History) { h.Assignments[1].Partitions = []int32{0} }},
		{"deleted records are back", func(h *History) { h.TrimsRequested[tp], h.TrimsDone[tp] = 5, 4 }},
		{"start moved", func(h *History) { both(h, func(l *FinalLog) { l.Reads, l.Start = l.Reads[2:], 2 }) }},
		{"a broker said so", func(h *History) { h.reportViolation("a broker said so") }},
	} {
		h := goodHistory()
		c.spoil(h)
		wrong := h.Check()
		found := false
		for _, w := range wrong {
			found = found || strings.HasPrefix(w, c.finds)
		}
		if !found {
			t.Errorf("%q was not found; found %q", c.finds, wrong)
		}
	}
}

// Only what a recovery lost may be missing.
func TestChecksAllowALostTailAndNoMore(t *testing.T) {
	tp := TP{"t", 0}
	lose := func() *History {
		h := goodHistory()
		h.Ledger = nil // of the tail, too
		h.Lost = []LostTail{{tp, 6, 100, t0.Add(time.Hour)}}
		for name, tail := range h.FinalLogs[tp] {
			tail.Reads = append([]Read(nil), tail.Reads[:6]...)
			tail.Reads = append(tail.Reads, Read{Offset: 100, Record: Record{"sure", tp, 5}})
			tail.End = 101
			h.FinalLogs[tp][name] = tail
		}
		b := Batch{Record{"sure", tp, 5}, 1, true}
		h.Sent = append(h.Sent, b)
		h.Acks = append(h.Acks, Ack{b, 100, t0.Add(2 * time.Hour)})
		h.Reads["r t/0"] = append(h.Reads["r t/0"], Reading{From: 10, Reads: []Read{{Offset: 100, Record: b.First}}})
		return h
	}
	if wrong := lose().Check(); len(wrong) > 0 {
		t.Errorf("a history with a lost tail: %q", wrong)
	}
	h := lose()
	h.Lost[0].From = 8 // records 6 and 7 were archived, and are missing
	if wrong := h.Check(); len(wrong) == 0 {
		t.Error("records before the lost tail are missing, and no check reported it")
	}
	h = lose()
	h.Acks[len(h.Acks)-1].Base = 9 // assigned before
	if wrong := h.Check(); len(wrong) == 0 {
		t.Error("an offset of the lost tail was given again, and no check reported it")
	}
}
