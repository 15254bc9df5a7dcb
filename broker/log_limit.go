package broker

import (
	"sync"
	"time"
)

// logLimit keeps log lines that repeat apart: each kind at most once a minute.
type logLimit struct {
	mu sync.Mutex
	at map[string]time.Time
}

// logLimitEvery is how often a line of one kind is written at most.
const logLimitEvery = time.Minute

// allow reports whether a line of this kind is due, and notes that it is written.
func (l *logLimit) allow(kind string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.at[kind]; ok && now.Sub(last) < logLimitEvery {
		return false
	}
	if l.at == nil {
		l.at = map[string]time.Time{}
	}
	l.at[kind] = now
	return true
}
