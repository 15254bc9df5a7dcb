package broker

import (
	"net"
	"time"
)

// writeLoop handles and answers requests in order until the queue is closed.
func (c *conn) writeLoop() {
	broken := false
	for p := range c.queue {
		if !broken {
			broken = !c.handleRequest(&p)
			if broken {
				c.cancel()
				c.net.Close() // wakes the reader
			}
		}
		c.freeRequest(&p)
		c.unanswered.Add(-1)
	}
}

// handleRequest runs one request and sends its response; false ends the
// connection.
func (c *conn) handleRequest(p *pendingRequest) (ok bool) {
	defer func() {
		if fault := recover(); fault != nil {
			_ = c.reportPanic(p.r, fault)
			ok = false
		}
	}()
	p.api.requests.Inc()
	p.r.evidence = c.resolveEvidence(p.r.clientID, p.api.traffic)
	p.r.releaseFrame = func() { c.freeFrame(p) }
	a := p.run(c.ctx)
	defer a.freeMemory()
	c.s.meter.recordRequest(p, &a)
	if a.noResponse && !a.closeConnection {
		return true
	}
	if a.head == nil && !a.closeConnection {
		if err := c.encode(p.r, &a); err != nil {
			c.rejectRequest(err)
			a.closeConnection = true
		}
	}
	if a.closeConnection {
		return false
	}
	head := a.head
	extra := 0
	for _, b := range a.tail {
		extra += len(b)
	}
	setResponseSize(head, extra)
	if err := c.sendResponse(head, a.tail); err != nil {
		c.s.metrics.connectionsCut.Inc()
		return false
	}
	c.s.meter.recordResponse(p, &a, len(head)+extra)
	return true
}

// encode encodes a response and acquires its memory, which is held until the
// response is sent. Only then is the request's memory released, so that the
// responses waiting for memory are bounded by the requests in memory.
func (c *conn) encode(r *request, a *response) error {
	a.resp.SetVersion(r.version)
	flexible := r.version >= r.api.flexible && r.key != apiVersionsKey
	a.head = a.resp.AppendTo(appendResponseHeader(nil, r.correlation, flexible))
	a.resp = nil
	if err := r.checkResponseSize(int64(len(a.head))); err != nil {
		return err
	}
	held, err := c.s.responses.acquire(c.ctx, c, int64(len(a.head)))
	if err != nil {
		return err
	}
	a.release = held.releaseAll
	if a.admission != nil {
		a.admission.releaseAll()
	}
	return nil
}

// freeMemory releases the memory of a response and its request.
func (a *response) freeMemory() {
	if a.admission != nil {
		a.admission.releaseAll()
	}
	if a.release != nil {
		a.release()
	}
}

// sendChunkBytes is how much is sent under one deadline: a slow client gets
// time for every chunk; the connection of a client that never reads is closed
// after the first.
const sendChunkBytes = 256 << 10

func (c *conn) sendResponse(head []byte, tail net.Buffers) error {
	c.responseStall.start()
	defer c.responseStall.stop()
	part := net.Buffers{head}
	n := len(head)
	for i := 0; i <= len(tail); i++ {
		if i == len(tail) || n >= sendChunkBytes {
			c.net.SetWriteDeadline(time.Now().Add(c.s.cfg.WriteTimeout))
			if err := c.net.writeBuffers(&part); err != nil {
				return err
			}
			part, n = part[:0], 0
		}
		if i < len(tail) {
			part = append(part, tail[i])
			n += len(tail[i])
		}
	}
	return nil
}
