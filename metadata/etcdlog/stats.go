package etcdlog

import (
	"sync/atomic"

	"github.com/zonewise/zonewise/metadata"
)

// Stats counts rare events since Open, so that tests of faults can check that
// they occurred.
type Stats struct {
	FoundLanded uint64 // entries that an attempt of unknown outcome had put
	GuardFails  uint64 // guards that failed after an attempt of unknown outcome
	Sessions    int    // open now, and those closed since the last one was opened
}

type appendCounters struct{ foundLanded, guardFails atomic.Uint64 }

// Stats returns the present counts.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{FoundLanded: l.counters.foundLanded.Load(), GuardFails: l.counters.guardFails.Load(), Sessions: len(l.sessions)}
}

// countAppend counts a resolved append, and how many of its attempts had an
// unknown outcome; found: its key existed.
func (l *Log) countAppend(res metadata.AppendResult, unknown int, found bool) {
	switch {
	case unknown == 0:
	case res.GuardFailed:
		l.counters.guardFails.Add(1)
	case found:
		l.counters.foundLanded.Add(1)
	}
}
