package broker

import (
	"context"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Delays of answers in which everything failed: they double from the first to
// the last, so that a client's retries do not become a storm.
const (
	firstPunish = 20 * time.Millisecond
	lastPunish  = time.Second
)

// punish delays an answer in which all failed. Only the writer calls it.
func (c *conn) punish(ctx context.Context, all bool) {
	if !all {
		c.refused = 0
		return
	}
	delay := min(firstPunish<<min(c.refused, 10), lastPunish)
	c.refused++
	if c.s.draining.Load() {
		return // the client is to go elsewhere, now
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
}

// barrierWait is how long a read barrier may take before the answer is an
// error.
const barrierWait = 5 * time.Second

// barrier makes what the handlers see no older than what any client was told
// before.
func (s *Server) barrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, barrierWait)
	defer cancel()
	return s.cfg.Replica.Barrier(ctx)
}

// submitWait is how long a command may take before the client is told that it
// timed out (Kafka's request.timeout.ms); it may still take effect.
const submitWait = 30 * time.Second

// submit commits commands for a request.
func (s *Server) submit(ctx context.Context, cmds []metadata.Command) (metadata.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, submitWait)
	defer cancel()
	return s.cfg.Writer.Submit(ctx, cmds, nil)
}
