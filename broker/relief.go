package broker

import (
	"sync/atomic"
	"time"
)

// Relief: where requests of some wait for memory that others hold because their
// clients do not act, the one that holds most is closed.
const (
	// reliefStep is how often connections are looked at, as long as anybody waits.
	reliefStep = 250 * time.Millisecond
	// reliefAfter is how long somebody must have waited, and a client not acted.
	reliefAfter = time.Second
)

// turn is since when a client has had to act, and has not; it is not the
// client's turn while it is zero.
type turn struct{ since atomic.Int64 } // unix nanoseconds

// begin says that the client has to send or to read, or that it just has.
func (t *turn) begin() { t.since.Store(time.Now().UnixNano()) }

// moved says that the client acted, if it is its turn.
func (t *turn) moved() {
	if t.since.Load() != 0 {
		t.begin()
	}
}

func (t *turn) end() { t.since.Store(0) }

func (t *turn) idle(now time.Time) time.Duration {
	if since := t.since.Load(); since != 0 {
		return now.Sub(time.Unix(0, since))
	}
	return 0
}

// wake starts the looking, if it does not go on.
func (s *Server) wakeRelief() {
	select {
	case s.crowded <- struct{}{}:
	default:
	}
}

// relieve looks at the connections as long as anybody waits for memory or for
// heavy work.
func (s *Server) relieve() {
	for {
		select {
		case <-s.crowded:
		case <-s.ctx.Done():
			return
		}
		for s.relieveOnce(time.Now()) {
			select {
			case <-time.After(reliefStep):
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// relieveOnce reports whether to look again soon.
func (s *Server) relieveOnce(now time.Time) (again bool) {
	waited := time.Duration(-1)
	for _, b := range s.held() {
		waited = max(waited, b.waited(now))
	}
	s.mu.Lock()
	conns := s.sorted()
	s.mu.Unlock()
	var worst *conn
	for _, c := range conns {
		if c.heavy.Load() {
			again = true
			if clientGone(c.net.Conn) {
				c.cancel()
				c.net.Close()
			}
		}
		if c.idle(now) >= reliefAfter && c.holds.Load() > 0 && (worst == nil || c.holds.Load() > worst.holds.Load()) {
			worst = c
		}
	}
	if waited >= reliefAfter && worst != nil {
		s.metrics.cut.Inc()
		s.cfg.Log.Info("connection closed: its client neither sends nor reads, and others wait for the memory it holds",
			"peer", worst.net.RemoteAddr(), "bytes", worst.holds.Load(), "idle", worst.idle(now))
		worst.net.Close()
	}
	return again || waited >= 0
}

// held are the budgets that a client can keep from others by not acting.
func (s *Server) held() []*budget {
	return []*budget{s.frames.small, s.frames.large, s.bulk, s.requests.small, s.requests.large, s.answers.small, s.answers.large}
}

// idle is how long the client has let the broker wait.
func (c *conn) idle(now time.Time) time.Duration {
	return max(c.sends.idle(now), c.reads.idle(now))
}
