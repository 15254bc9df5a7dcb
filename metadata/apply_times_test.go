package metadata

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each entry's time is observed once, time under the lock included; a slow one is
// logged with what it did, the slowest in ten seconds at most.
func TestSlowEntriesAreLoggedWithTheirWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		log := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
		tick := Entry{Commands: []Command{Tick{5}, RecordStateHash{}, RecordStateHash{}}}
		var s slowEntries
		s.addEntry(6*time.Millisecond, &CommittedEntry{Revision: 3}, &tick, log)
		for i := range 5 {
			s.addEntry(time.Duration(10-i)*time.Millisecond, &CommittedEntry{Revision: Revision(4 + i)}, &Entry{Parts: make([]Part, 1000)}, log)
		}
		time.Sleep(slowApplyInterval)
		s.addEntry(7*time.Millisecond, &CommittedEntry{Revision: 20}, nil, log)
		got := strings.Split(strings.TrimSpace(lines.String()), "\n")
		if len(got) != 2 || !strings.Contains(got[0], `work="0 parts, 1 metadata.Tick, 2 metadata.RecordStateHash"`) ||
			!strings.Contains(got[1], `entries=6 slowest=10ms revision=4 work="1000 parts"`) {
			t.Errorf("logged:\n%s", lines.String())
		}
	})
}

// The replica reports the time of each entry that it applies, once.
func TestEveryEntryIsTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReplica(ReplicaConfig{Logger: slog.New(slog.DiscardHandler)})
		timed := 0
		r.cfg.OnApply = func(time.Duration) { timed++ }
		e := Entry{Level: 1, Session: 1, Seq: 1, Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1}}}
		body, err := AppendEntry(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time it is there already
			if err := r.applyEntry(&CommittedEntry{2, 1, 1, LaneControl, 1, body}, false); err != nil {
				t.Fatal(err)
			}
		}
		if timed != 1 {
			t.Errorf("%d entries were timed", timed)
		}
	})
}
