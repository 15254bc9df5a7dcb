package broker

import (
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/internal/membudget"
)

// If requests wait for memory that stalled clients hold, the stalled connection that
// holds the most is closed.
const (
	// stallCheckInterval is the interval of checks while requests wait.
	stallCheckInterval = 250 * time.Millisecond
	// maxStall is how long a request must have waited, and a client have stalled.
	maxStall = time.Second
)

// stallTimer measures since when a client has had to act without doing so; zero
// while it does not have to.
type stallTimer struct{ since atomic.Int64 } // unix nanoseconds

// start records that the client has to send or to read, or just did.
func (t *stallTimer) start() { t.since.Store(time.Now().UnixNano()) }

// recordProgress restarts a running timer: the client acted.
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

// wakeStallWatch starts the checks, unless they are running.
func (s *Server) wakeStallWatch() {
	select {
	case s.stallCheck <- struct{}{}:
	default:
	}
}

// watchStalls checks the connections while requests wait for memory or for a
// heavy slot.
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

// checkStalls closes at most one stalled connection, and reports whether to
// check again.
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

// contendedBudgets are the budgets that a stalled client can keep from others.
func (s *Server) contendedBudgets() []*membudget.Budget {
	return []*membudget.Budget{s.frames.small, s.frames.large, s.bulkFrames, s.requests.small, s.requests.large, s.responses.small, s.responses.large}
}

// stalledFor is how long the broker has waited for the client.
func (c *conn) stalledFor(now time.Time) time.Duration {
	return max(c.responseStall.stalledFor(now), c.requestStall.stalledFor(now))
}
