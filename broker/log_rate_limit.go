package broker

import (
	"sync"
	"time"
)

// logRateLimiter limits repeated log lines: each kind at most once per
// logInterval.
type logRateLimiter struct {
	mu         sync.Mutex
	lastLogged map[string]time.Time
}

// logInterval is the minimum interval between log lines of one kind.
const logInterval = time.Minute

// allow reports whether a line of this kind may be written now, and records
// that it is.
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
