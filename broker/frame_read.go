package broker

import (
	"io"
	"time"
)

// readFrame reads a frame of n bytes into memory of the server's budget. The
// connection is closed if the frame arrives too slowly: WriteTimeout for the
// start, minFrameBytesPerSecond from then on. Time in which the frame waits for
// memory does not count.
func (c *conn) readFrame(n int, p *pendingRequest) (frame []byte, err error) {
	size := min(n, initialFrameBytes)
	from := c.s.frames.budgetFor(int64(n))
	if n > smallBytes && p.api.beginOnReader == nil {
		from, size = c.s.bulkFrames, n
	}
	if p.frame, err = acquireGrant(c.ctx, from, c, int64(size)); err != nil {
		return nil, err
	}
	c.requestStall.start()
	defer c.requestStall.stop()
	begun := time.Now()
	frame = make([]byte, size)
	for got := 0; ; {
		due := c.s.cfg.WriteTimeout + time.Duration(size)*time.Second/minFrameBytesPerSecond
		c.net.SetReadDeadline(begun.Add(due))
		if _, err := io.ReadFull(c.reader, frame[got:]); err != nil {
			return nil, err
		}
		if got = size; got == n {
			return frame, nil
		}
		size = min(n, frameGrowthFactor*got)
		waits := time.Now()
		c.requestStall.stop()
		if err := c.growFrameMemory(int64(size-got), p); err != nil {
			return nil, err
		}
		c.requestStall.start()
		begun = begun.Add(time.Since(waits))
		whole := make([]byte, size)
		copy(whole, frame)
		frame = whole
	}
}

// growFrameMemory acquires more memory for a partly read frame. Such frames
// must not wait for each other: if the budget is empty, one of them takes the
// memory reserved for one frame, and the others wait for that, which always
// becomes free again.
func (c *conn) growFrameMemory(more int64, p *pendingRequest) error {
	if p.holdsSpare {
		return nil
	}
	if c.s.frames.large.TryAcquire(more) {
		p.frame.extend(more)
		return nil
	}
	select {
	case c.s.spareFrame <- struct{}{}:
		p.holdsSpare = true
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}
