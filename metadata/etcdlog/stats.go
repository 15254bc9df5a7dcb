package etcdlog

import (
	"sync/atomic"

	"github.com/zonewise/zonewise/metadata"
)

// Stats counts what a log met since Open: rare things that a test of faults
// wants to know it has reached.
type Stats struct {
	FoundLanded uint64 // entries that an attempt of unknown outcome had put in place
	GuardFails  uint64 // guards that failed after an attempt of unknown outcome
	Sessions    int    // known now: those not closed, and what was closed since the last was opened
}

type appendCounters struct{ foundLanded, guardFails atomic.Uint64 }

// Stats returns a picture of now.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{FoundLanded: l.counters.foundLanded.Load(), GuardFails: l.counters.guardFails.Load(), Sessions: len(l.sessions)}
}

// countAppend counts an append whose fate is known after so many attempts that
// had none; found: its key was there.
func (l *Log) countAppend(res metadata.AppendResult, unknown int, found bool) {
	switch {
	case unknown == 0:
	case res.GuardFailed:
		l.counters.guardFails.Add(1)
	case found:
		l.counters.foundLanded.Add(1)
	}
}
