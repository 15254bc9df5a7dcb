package broker

import (
	"context"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Delays of answers in which everything failed: they double from the first to
// the last, so that a client's retries do not become a storm.
// None but that of a broker which leaves is given at once: what makes all fail,
// a lost session, also changes who leads, and the answer says who does.
const (
	minFailureDelay   = time.Millisecond
	firstFailureDelay = 20 * time.Millisecond
	maxFailureDelay   = time.Second
)

// delayFailure delays an answer in which all failed, to so long after the request
// came. Requests that were sent before the last such answer belong to the same
// try of the client: they have waited beside it, and must not wait one behind
// the other, or what was sent in an outage keeps the client away for seconds
// after it. Only the writer calls it.
func (c *conn) delayFailure(ctx context.Context, came time.Time, all bool) {
	if !all {
		c.failedTries = 0
		return
	}
	if c.failedTries == 0 || !came.Before(c.lastFailure) {
		c.failedTries++
	}
	if !c.s.draining.Load() { // else the client is to go elsewhere, now
		select {
		case <-time.After(max(time.Until(came.Add(failureDelay(c.failedTries))), minFailureDelay)):
		case <-ctx.Done():
		}
	}
	c.lastFailure = time.Now()
}

// failureDelay is the delay of the n-th try in a row that failed, n from 1.
func failureDelay(n int) time.Duration { return min(firstFailureDelay<<min(n-1, 10), maxFailureDelay) }

// barrier makes the state that handlers read at least as new as any response
// that a client got before. It fails after metadata.BarrierTimeout.
func (s *Server) barrier(ctx context.Context) error { return s.cfg.Replica.Barrier(ctx) }

// submitTimeout is how long a command may take before the client is told that it
// timed out (Kafka's request.timeout.ms); it may still take effect.
const submitTimeout = 30 * time.Second

// submit commits commands for a request.
func (s *Server) submit(ctx context.Context, cmds []metadata.Command) (metadata.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	return s.cfg.Writer.Submit(ctx, cmds, nil)
}
