package sim

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// goodTxns is one app's four transactions over two partitions, served by two
// brokers: committed, aborted, of unknown outcome and absent, committed.
// The first and the last commit offsets of its group.
func goodTxns() *History {
	h := newHistory()
	pay, ship := TP{"pay", 0}, TP{"ship", 0}
	reads := map[TP][]Read{}
	for n := 1; n <= 4; n++ {
		at := t0.Add(time.Duration(n) * time.Minute)
		t := &Txn{Name: "e." + string(rune('0'+n)), ID: "e", N: n, Started: at, Sent: map[TP]int{pay: 2, ship: 1}}
		h.Txns[t.Name] = t
		for _, tp := range []TP{pay, ship} {
			base := int64(4 * n)
			t.Acks = append(t.Acks, Ack{Batch{Record{t.Name, tp, 0}, t.Sent[tp], false}, base, at})
			for i := range t.Sent[tp] {
				if n == 1 || n == 4 {
					reads[tp] = append(reads[tp], Read{base + int64(i), Record{t.Name, tp, i}, Mark{7, int16(n), MarkData}})
				}
			}
		}
		if n != 2 {
			t.CommitSent = at.Add(time.Second)
		}
		if n == 1 || n == 4 {
			t.Committed, t.Ended, t.Offset = true, at.Add(2*time.Second), int64(n)
			h.TxnFetches = append(h.TxnFetches, TxnFetch{"e", int64(n), at.Add(3 * time.Second), at.Add(4 * time.Second)})
		}
	}
	for _, tp := range []TP{pay, ship} {
		h.CommittedLogs[tp] = map[string]CommittedLog{}
		for _, b := range []string{"a0", "b0"} {
			h.CommittedLogs[tp][b] = CommittedLog{20, 20, slices.Clone(reads[tp])}
		}
	}
	return h
}

func TestTxnChecksPassAGoodHistory(t *testing.T) {
	if wrong := goodTxns().Check(); len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
}

// Each kind of violation by transactions is found and named.
func TestTxnChecksFindEachBrokenPromise(t *testing.T) {
	pay, ship := TP{"pay", 0}, TP{"ship", 0}
	both := func(h *History, tp TP, change func(*CommittedLog)) {
		for b, s := range h.CommittedLogs[tp] {
			change(&s)
			h.CommittedLogs[tp][b] = s
		}
	}
	show := func(h *History, n int, tps ...TP) { // at the end, apart from the others
		for _, tp := range tps {
			both(h, tp, func(s *CommittedLog) {
				name := "e." + string(rune('0'+n))
				for i := range h.Txns[name].Sent[tp] {
					s.Reads = append(s.Reads, Read{int64(4*n + i), Record{name, tp, i}, Mark{7, int16(n), MarkData}})
				}
				slices.SortFunc(s.Reads, func(a, b Read) int { return int(a.Offset - b.Offset) })
			})
		}
	}
	for _, c := range []struct {
		finds string
		spoil func(h *History)
	}{
		{"transaction still open", func(h *History) { both(h, pay, func(s *CommittedLog) { s.LastStableOffset = 19 }) }},
		{"committed records differ", func(h *History) {
			s := h.CommittedLogs[pay]["b0"]
			s.Reads = s.Reads[:1]
			h.CommittedLogs[pay]["b0"] = s
		}},
		{"transaction torn", func(h *History) { both(h, ship, func(s *CommittedLog) { s.Reads = s.Reads[1:] }) }},
		{"transaction torn", func(h *History) { show(h, 3, pay) }},
		{"transaction torn", func(h *History) { h.Txns["e.4"].Acks = h.Txns["e.4"].Acks[1:] }},
		{"committed without a commit request", func(h *History) { show(h, 2, pay, ship) }},
		{"committed without a commit request", func(h *History) { h.Txns["e.4"].Dead = true }},
		{"committed and lost", func(h *History) {
			both(h, pay, func(s *CommittedLog) { s.Reads = s.Reads[2:] })
			both(h, ship, func(s *CommittedLog) { s.Reads = s.Reads[1:] })
		}},
		{"committed at another offset", func(h *History) { h.Txns["e.1"].Acks[0].Base = 5 }},
		{"transaction out of order", func(h *History) {
			both(h, ship, func(s *CommittedLog) { s.Reads[0].Record, s.Reads[1].Record = s.Reads[1].Record, s.Reads[0].Record })
		}},
		{"transaction out of order", func(h *History) { both(h, pay, func(s *CommittedLog) { s.Reads[1].Record.N = 0 }) }},
		{"never sent", func(h *History) { both(h, pay, func(s *CommittedLog) { s.Reads[0].Record.Producer = "who" }) }},
		{"group offset without a commit", func(h *History) { h.TxnFetches[0].Offset = 3 }},
		{"group offset without a commit", func(h *History) { h.Txns["e.1"].CommitSent = t0.Add(time.Hour) }},
		{"committed group offset lost", func(h *History) { h.TxnFetches[1].Offset = 1 }},
		{"group offset and records differ", func(h *History) {
			h.Txns["e.3"].Offset = 3
			h.TxnFetches = append(h.TxnFetches, TxnFetch{"e", 3, t0.Add(time.Hour), t0.Add(time.Hour)})
		}},
	} {
		h := goodTxns()
		c.spoil(h)
		wrong := h.Check()
		if !slices.ContainsFunc(wrong, func(w string) bool { return strings.HasPrefix(w, c.finds) }) {
			t.Errorf("%q was not found; found %q", c.finds, wrong)
		}
	}
}

// What a recovery may have lost may be missing completely, but not in part.
func TestTxnChecksAllowALostTailAndNoMore(t *testing.T) {
	pay, ship := TP{"pay", 0}, TP{"ship", 0}
	lose := func(parts ...TP) *History {
		h := goodTxns()
		h.Lost = []LostTail{{pay, 16, 1000, t0.Add(time.Hour)}}
		h.TxnFetches = append(h.TxnFetches, TxnFetch{"e", 1, t0.Add(2 * time.Hour), t0.Add(2 * time.Hour)})
		for _, tp := range parts {
			for b, s := range h.CommittedLogs[tp] {
				s.Reads = slices.DeleteFunc(s.Reads, func(r Read) bool { return r.Record.Producer == "e.4" })
				h.CommittedLogs[tp][b] = s
			}
		}
		return h
	}
	if wrong := lose(pay, ship).Check(); len(wrong) > 0 {
		t.Errorf("a transaction in a lost tail: %q", wrong)
	}
	if wrong := lose(pay).Check(); len(wrong) == 0 {
		t.Error("a half of a transaction is lost, and no check reported it")
	}
}
