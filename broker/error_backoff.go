package broker

import (
	"context"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Delays of responses in which everything failed: they double from the first to the
// maximum, to slow down a client's retries. Only a draining broker responds at once.
// Otherwise even the first response is delayed: everything fails because the session
// is lost, which also changes the leaders, and the response has the new ones.
const (
	minFailureDelay   = time.Millisecond
	firstFailureDelay = 20 * time.Millisecond
	maxFailureDelay   = time.Second
)

// delayFailure delays a response in which all failed until the delay has passed since
// the request arrived. Requests that arrived before the last such response belong to
// the same attempt of the client: their delays run concurrently, not one after
// another, which would block the client for seconds after an outage. Only the writer
// calls it.
func (c *conn) delayFailure(ctx context.Context, came time.Time, all bool) {
	if !all {
		c.failedTries = 0
		return
	}
	if c.failedTries == 0 || !came.Before(c.lastFailure) {
		c.failedTries++
	}
	if !c.s.draining.Load() { // else the client should move to another broker now
		select {
		case <-time.After(max(time.Until(came.Add(failureDelay(c.failedTries))), minFailureDelay)):
		case <-ctx.Done():
		}
	}
	c.lastFailure = time.Now()
}

// failureDelay is the delay of the n-th consecutive failed attempt, n from 1.
func failureDelay(n int) time.Duration { return min(firstFailureDelay<<min(n-1, 10), maxFailureDelay) }

// barrier makes the state that handlers read at least as new as any response
// that a client got before. It fails after metadata.BarrierTimeout.
func (s *Server) barrier(ctx context.Context) error { return s.cfg.Replica.Barrier(ctx) }

// barrierSinceArrival is barrier for the APIs of which a client sends many requests
// at once: librdkafka asks for each partition by itself.
func (s *Server) barrierSinceArrival(ctx context.Context, r *request) error {
	return s.cfg.Replica.BarrierSince(ctx, r.barrierTurn)
}

// submitTimeout is how long a command may take before the client gets
// REQUEST_TIMED_OUT (Kafka's request.timeout.ms); it may still take effect.
const submitTimeout = 30 * time.Second

// submit commits commands for a request.
func (s *Server) submit(ctx context.Context, cmds []metadata.Command) (metadata.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	return s.cfg.Writer.Submit(ctx, cmds, nil)
}
