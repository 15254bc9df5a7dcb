package broker

import (
	"io"
	"time"
)

// readFrame reads a frame of n bytes into memory of the server's budget. The
// sender is cut when what should have come by now has not: WriteTimeout for
// the beginning, frameBytesPerSecond from then on. Time in which it waits for
// our memory is not held against it.
func (c *conn) readFrame(n int, p *pending) (frame []byte, err error) {
	size := min(n, firstRead)
	from := c.s.frames.lane(int64(n))
	if n > smallBytes && p.api.take == nil {
		from, size = c.s.bulk, n
	}
	if p.frame, err = from.grant(c.ctx, c, int64(size)); err != nil {
		return nil, err
	}
	c.reads.begin()
	defer c.reads.end()
	begun := time.Now()
	frame = make([]byte, size)
	for got := 0; ; {
		due := c.s.cfg.WriteTimeout + time.Duration(size)*time.Second/frameBytesPerSecond
		c.net.SetReadDeadline(begun.Add(due))
		if _, err := io.ReadFull(c.in, frame[got:]); err != nil {
			return nil, err
		}
		if got = size; got == n {
			return frame, nil
		}
		size = min(n, growFrame*got)
		waits := time.Now()
		c.reads.end()
		if err := c.grow(int64(size-got), p); err != nil {
			return nil, err
		}
		c.reads.begin()
		begun = begun.Add(time.Since(waits))
		whole := make([]byte, size)
		copy(whole, frame)
		frame = whole
	}
}

// grow takes more memory for a frame that has come in part. Such frames must
// not wait for each other: one that finds the budget empty takes the room kept
// for one frame, and the others wait for that, which will be free again.
func (c *conn) grow(more int64, p *pending) error {
	if p.spare {
		return nil
	}
	if c.s.frames.large.try(more) {
		p.frame.add(more)
		return nil
	}
	select {
	case c.s.spare <- struct{}{}:
		p.spare = true
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}
