package broker

import (
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/internal/membudget"
)

// Relief: where requests of some wait for memory that others hold because their
// clients do not act, the one that holds most is closed.
const (
	// stallCheckInterval is how often connections are looked at, as long as anybody waits.
	stallCheckInterval = 250 * time.Millisecond
	// maxStall is how long somebody must have waited, and a client not acted.
	maxStall = time.Second
)

// stallTimer is since when a client has had to act, and has not; it is not the
// client's turn while it is zero.
type stallTimer struct{ since atomic.Int64 } // unix nanoseconds

// start says that the client has to send or to read, or that it just has.
func (t *stallTimer) start() { t.since.Store(time.Now().UnixNano()) }

// recordProgress says that the client acted, if it is its turn.
func (t *stallTimer) recordProgress() {
	if t.since.Load() != 0 {
		t.start()
	}
}

func (t *stallTimer) stop() { t.since.Store(0) }

func (t *stallTimer) stalledFor(now time.Time) time.Duration {
	if since := t.since.Load(); since != 0 {
		return now.Sub(time.Unix(0, since))
	}
	return 0
}

// wakeStallWatch starts the looking, if it does not go on.
func (s *Server) wakeStallWatch() {
	select {
	case s.stallCheck <- struct{}{}:
	default:
	}
}

// watchStalls looks at the connections as long as anybody waits for memory or for
// heavy work.
func (s *Server) watchStalls() {
	for {
		select {
		case <-s.stallCheck:
		case <-s.ctx.Done():
			return
		}
		for s.checkStalls(time.Now()) {
			select {
			case <-time.After(stallCheckInterval):
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// checkStalls reports whether to look again soon.
func (s *Server) checkStalls(now time.Time) (again bool) {
	waited := time.Duration(-1)
	for _, b := range s.contendedBudgets() {
		waited = max(waited, b.LongestWait(now))
	}
	s.mu.Lock()
	conns := s.connsByArrival()
	s.mu.Unlock()
	var worst *conn
	for _, c := range conns {
		if c.isHeavy.Load() {
			again = true
			if isClientGone(c.net.Conn) {
				c.cancel()
				c.net.Close()
			}
		}
		if c.stalledFor(now) >= maxStall && c.heldBytes.Load() > 0 && (worst == nil || c.heldBytes.Load() > worst.heldBytes.Load()) {
			worst = c
		}
	}
	if waited >= maxStall && worst != nil {
		s.metrics.connectionsCut.Inc()
		s.cfg.Log.Info("connection closed: stalled client holds memory that other connections wait for",
			"peer", worst.net.RemoteAddr(), "bytes", worst.heldBytes.Load(), "idle", worst.stalledFor(now))
		worst.net.Close()
	}
	return again || waited >= 0
}

// contendedBudgets are the budgets that a client can keep from others by not acting.
func (s *Server) contendedBudgets() []*membudget.Budget {
	return []*membudget.Budget{s.frames.small, s.frames.large, s.bulkFrames, s.requests.small, s.requests.large, s.responses.small, s.responses.large}
}

// stalledFor is how long the client has let the broker wait.
func (c *conn) stalledFor(now time.Time) time.Duration {
	return max(c.responseStall.stalledFor(now), c.requestStall.stalledFor(now))
}
