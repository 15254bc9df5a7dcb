package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
	"github.com/zonewise/zonewise/wal"
)

// conn is one connection: a reader, and a writer that handles and answers in
// the order of the requests.
type conn struct {
	s      *Server
	number uint64 // in order of arrival; set when it is welcome
	net    *countedConn
	in     *bufio.Reader   // of net
	zone   metadata.ZoneID // the listener's; "" for the one without a zone
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	queue  chan pending
	bytes  *budget // of frames not yet answered

	// The writer's own.
	sessions  fetchSessions
	refused   int       // tries in a row that were answered with nothing but errors
	refusedAt time.Time // when the last of these answers was given

	placed  map[placeKey]router.Evidence
	rack    string // from Fetch
	from    router.Evidence
	counted bool // among the server's clients, as from
	asked   bool // for Metadata, before

	// The reader's own.
	feed  wal.ConnectionActivity // it tells it what comes
	order produceOrder

	holds      atomic.Int64 // bytes of the server's memories
	heavy      atomic.Bool  // does heavy work, or waits for its turn
	reads      turn         // of the client to send the rest of a frame
	sends      turn         // of the client to read an answer
	unanswered atomic.Int64
	lastAsked  atomic.Int64 // time of the last frame, ns since the server opened
	software   atomic.Pointer[string]
	attributed atomic.Int64 // socket bytes that requests have accounted for
}

// pending is a request that waits for its turn to be answered.
type pending struct {
	r     *request
	api   *api
	run   func(context.Context) answer
	frame grant // of the server's memory for frames
	own   int64 // held of the connection's
	spare bool  // the server's spare room for one frame is held
}

// serve runs the connection until it ends.
func (c *conn) serve() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.write()
	}()
	err := c.read()
	close(c.queue)
	c.cancel()
	<-done
	c.net.Close()
	c.sessions.close(c.s)
	c.s.meter.leftover(c)
	c.feed.Close()
	if c.counted {
		c.s.clients.Disconnected(c.from)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, context.Canceled) {
		c.s.cfg.Log.Debug("connection ended", "peer", c.net.RemoteAddr(), "error", err)
	}
}

// read takes requests off the socket until an error. What it returns ends the
// connection.
func (c *conn) read() error {
	var prefix [4]byte
	for {
		c.net.SetReadDeadline(time.Now().Add(c.s.cfg.IdleTimeout))
		if _, err := io.ReadFull(c.in, prefix[:]); err != nil {
			return err
		}
		n, err := frameSize(prefix[:])
		if err != nil {
			return c.reject(err)
		}
		p := pending{}
		if p.own, err = c.bytes.acquire(c.ctx, int64(n)); err != nil {
			return err
		}
		if err = c.take(n, &p); err == nil {
			c.unanswered.Add(1)
			select {
			case c.queue <- p:
				continue
			case <-c.ctx.Done():
				c.unanswered.Add(-1)
				err = c.ctx.Err()
			}
		}
		c.free(&p)
		return err
	}
}

// take reads and parses one frame, and begins what must begin in order of
// arrival.
func (c *conn) take(n int, p *pending) error {
	c.net.SetReadDeadline(time.Now().Add(c.s.cfg.WriteTimeout))
	head, err := c.in.Peek(keyBytes)
	if err != nil {
		return err
	}
	h := parseKey(head)
	a := c.s.apis[h.key]
	switch {
	case a == nil:
		return c.reject(fmt.Errorf("%w: key %d is not served", errFrame, h.key))
	case (h.version < a.min || h.version > a.max) && h.key != apiVersionsKey:
		return c.reject(fmt.Errorf("%w: key %d version %d is not served", errFrame, h.key, h.version))
	case n > MaxPlainFrameBytes && a.take == nil:
		return c.reject(fmt.Errorf("%w: key %d with %d bytes", errFrame, h.key, n))
	}
	p.api = a
	frame, err := c.readFrame(n, p)
	if err != nil {
		return err
	}
	c.lastAsked.Store(c.s.sinceOpen())
	p.r = &request{header: h, api: a, size: n + 4, conn: c}
	if h.key == apiVersionsKey && (h.version < a.min || h.version > a.max) {
		p.run = func(context.Context) answer { return c.s.unknownApiVersions(p.r.correlation) }
		return nil
	}
	if p.r.header, p.r.body, err = parseHeader(h, h.version >= a.flexible, frame); err != nil {
		return c.reject(err)
	}
	return c.begin(p)
}

func (c *conn) begin(p *pending) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = c.fault(p.r, fault)
		}
	}()
	if p.api.take != nil {
		p.run, err = p.api.take(c.s, c.ctx, p.r)
		return err
	}
	r, serve := p.r, p.api.serve
	p.run = func(ctx context.Context) answer {
		a, err := serve(c.s, ctx, r)
		if err != nil {
			c.giveUp(err)
			a.hangUp = true
		}
		return a
	}
	return nil
}

// giveUp ends a request that cannot be answered, and its connection with it.
func (c *conn) giveUp(err error) {
	if !errors.Is(err, context.Canceled) {
		_ = c.reject(err)
	}
}

// write handles and answers requests in order until the queue is closed.
func (c *conn) write() {
	broken := false
	for p := range c.queue {
		if !broken {
			broken = !c.answer(&p)
			if broken {
				c.cancel()
				c.net.Close() // wakes the reader
			}
		}
		c.free(&p)
		c.unanswered.Add(-1)
	}
}

// answer runs one request and sends what comes of it; false ends the
// connection.
func (c *conn) answer(p *pending) (ok bool) {
	defer func() {
		if fault := recover(); fault != nil {
			_ = c.fault(p.r, fault)
			ok = false
		}
	}()
	p.api.asked.Inc()
	p.r.from = c.place(p.r.clientID, p.api.kind)
	p.r.freeFrame = func() { c.freeFrame(p) }
	a := p.run(c.ctx)
	defer a.free()
	c.s.meter.asked(p, &a)
	if a.silent && !a.hangUp {
		return true
	}
	if a.head == nil && !a.hangUp {
		if err := c.encode(p.r, &a); err != nil {
			c.giveUp(err)
			a.hangUp = true
		}
	}
	if a.hangUp {
		return false
	}
	head := a.head
	extra := 0
	for _, b := range a.tail {
		extra += len(b)
	}
	sealAnswer(head, extra)
	if err := c.send(head, a.tail); err != nil {
		c.s.metrics.cut.Inc()
		return false
	}
	c.s.meter.answered(p, &a, len(head)+extra)
	return true
}

// encode writes a response and takes the memory for it, which is held until the
// answer is sent. Only then what the request took is given back, so that answers
// which wait for memory are no more than requests under way.
func (c *conn) encode(r *request, a *answer) error {
	a.resp.SetVersion(r.version)
	flexible := r.version >= r.api.flexible && r.key != apiVersionsKey
	a.head = a.resp.AppendTo(appendAnswerHeader(nil, r.correlation, flexible))
	a.resp = nil
	if err := r.tooLarge(int64(len(a.head))); err != nil {
		return err
	}
	held, err := c.s.answers.acquire(c.ctx, c, int64(len(a.head)))
	if err != nil {
		return err
	}
	a.release = held.release
	if a.admitted != nil {
		a.admitted.release()
	}
	return nil
}

// free gives back what an answer and its request took.
func (a *answer) free() {
	if a.admitted != nil {
		a.admitted.release()
	}
	if a.release != nil {
		a.release()
	}
}

// sendStep is how much is sent under one deadline: a slow client has time for
// every part, a client that never reads is cut after the first.
const sendStep = 256 << 10

func (c *conn) send(head []byte, tail net.Buffers) error {
	c.sends.begin()
	defer c.sends.end()
	part := net.Buffers{head}
	n := len(head)
	for i := 0; i <= len(tail); i++ {
		if i == len(tail) || n >= sendStep {
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

func (c *conn) free(p *pending) {
	c.bytes.release(p.own)
	p.own = 0
	c.freeFrame(p)
}

// freeFrame gives the frame's memory back; nothing refers to its bytes any more.
func (c *conn) freeFrame(p *pending) {
	p.frame.release()
	if p.spare {
		p.spare = false
		<-c.s.spare
	}
}

// reject says in the log why a connection is closed.
func (c *conn) reject(err error) error {
	c.s.metrics.badFrames.Inc()
	level := slog.LevelInfo
	if errors.Is(err, errForeign) && c.s.logLimit.allow("foreign", time.Now()) {
		level = slog.LevelWarn
	}
	c.s.cfg.Log.Log(c.ctx, level, "close connection", "peer", c.net.RemoteAddr(), "reason", err)
	return err
}

// fault turns a panic of a handler into the end of one connection.
func (c *conn) fault(r *request, fault any) error {
	c.s.metrics.faults.Inc()
	c.s.cfg.Log.Error("BUG: handler panicked, connection closed", "key", r.key, "version", r.version,
		"fault", fault, slog.String("stack", string(debug.Stack())))
	return fmt.Errorf("BUG: handler of key %d panicked", r.key)
}

func decodeError(r *request, err error) error {
	return fmt.Errorf("%w: decode key %d version %d: %w", errFrame, r.key, r.version, err)
}
