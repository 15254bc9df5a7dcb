package broker

import (
	"io"
	"time"
)

// readFrame reads a frame of n bytes into memory of the server's budget. The
// sender is cut when what should have come by now has not: WriteTimeout for
// the beginning, minFrameBytesPerSecond from then on. Time in which it waits for
// our memory is not held against it.
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

// growFrameMemory takes more memory for a frame that has come in part. Such frames must
// not wait for each other: one that finds the budget empty takes the room kept
// for one frame, and the others wait for that, which will be free again.
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
