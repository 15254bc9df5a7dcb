package broker

import (
	"sync"
	"time"
)

// logRateLimiter keeps log lines that repeat apart: each kind at most once a minute.
type logRateLimiter struct {
	mu         sync.Mutex
	lastLogged map[string]time.Time
}

// logInterval is how often a line of one kind is written at most.
const logInterval = time.Minute

// allow reports whether a line of this kind is due, and notes that it is written.
func (l *logRateLimiter) allow(kind string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.lastLogged[kind]; ok && now.Sub(last) < logInterval {
		return false
	}
	if l.lastLogged == nil {
		l.lastLogged = map[string]time.Time{}
	}
	l.lastLogged[kind] = now
	return true
}
