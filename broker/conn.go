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

	"github.com/zonewise/zonewise/internal/membudget"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
	"github.com/zonewise/zonewise/wal"
)

// conn is one connection: a reader, and a writer that handles and answers requests
// in order.
type conn struct {
	s           *Server
	number      uint64 // in order of arrival; set when it is accepted
	net         *countedConn
	reader      *bufio.Reader   // of net
	zone        metadata.ZoneID // the listener's; "" if it has none
	ctx         context.Context // ends with the connection
	cancel      context.CancelFunc
	queue       chan pendingRequest
	frameBudget *membudget.Budget // of frames not yet answered

	// Owned by the writer.
	sessions    fetchSessions
	failedTries int       // consecutive attempts in which everything failed
	lastFailure time.Time // time of the last such response

	evidenceByKey  map[evidenceKey]router.Evidence
	rack           string // from Fetch
	clientEvidence router.Evidence
	counted        bool // in the server's client counters, with clientEvidence
	askedMetadata  bool // has sent Metadata before

	// Owned by the reader.
	activity wal.ConnectionActivity // updated with each batch
	order    produceOrder

	heldBytes       atomic.Int64 // of the server's memory pools
	isHeavy         atomic.Bool  // does heavy work, or waits for a slot
	requestStall    stallTimer   // while the client has to send the rest of a frame
	responseStall   stallTimer   // while the client has to read a response
	unanswered      atomic.Int64
	lastRequest     atomic.Int64 // time of the last frame, ns since the server opened
	software        atomic.Pointer[string]
	attributedBytes atomic.Int64 // socket bytes attributed to requests
}

// pendingRequest is a request in the queue to be answered.
type pendingRequest struct {
	r          *request
	api        *api
	run        func(context.Context) response
	frame      grant // of the server's frame memory
	connBytes  int64 // of the connection's frameBudget
	holdsSpare bool  // holds the server's spare memory for one frame
}

// serve runs the connection until it ends.
func (c *conn) serve() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.writeLoop()
	}()
	err := c.readLoop()
	close(c.queue)
	c.cancel()
	<-done
	c.net.Close()
	c.sessions.close(c.s)
	c.s.meter.recordUnattributed(c)
	c.activity.Close()
	if c.counted {
		c.s.clients.Disconnected(c.clientEvidence)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, context.Canceled) {
		c.s.cfg.Log.Debug("connection ended", "peer", c.net.RemoteAddr(), "err", err)
	}
}

// readLoop reads requests until an error, which ends the connection.
func (c *conn) readLoop() error {
	var prefix [4]byte
	for {
		c.net.SetReadDeadline(time.Now().Add(c.s.cfg.IdleTimeout))
		if _, err := io.ReadFull(c.reader, prefix[:]); err != nil {
			return err
		}
		n, err := parseFrameSize(prefix[:])
		if err != nil {
			return c.rejectConnection(err)
		}
		p := pendingRequest{connBytes: min(int64(n), MaxPipelinedBytes)}
		if err = c.frameBudget.Acquire(c.ctx, p.connBytes, nil); err != nil {
			return err
		}
		if err = c.readRequest(n, &p); err == nil {
			c.unanswered.Add(1)
			select {
			case c.queue <- p:
				continue
			case <-c.ctx.Done():
				c.unanswered.Add(-1)
				err = c.ctx.Err()
			}
		}
		c.freeRequest(&p)
		return err
	}
}

// readRequest reads and parses one frame, and runs the part of the request that
// must run in order of arrival.
func (c *conn) readRequest(n int, p *pendingRequest) error {
	c.net.SetReadDeadline(time.Now().Add(c.s.cfg.WriteTimeout))
	head, err := c.reader.Peek(fixedHeaderBytes)
	if err != nil {
		return err
	}
	h := parseFixedHeader(head)
	a := c.s.apis[h.key]
	switch {
	case a == nil:
		return c.rejectConnection(fmt.Errorf("%w: key %d is not served", errBadFrame, h.key))
	case (h.version < a.min || h.version > a.max) && h.key != apiVersionsKey:
		return c.rejectConnection(fmt.Errorf("%w: key %d version %d is not served", errBadFrame, h.key, h.version))
	case n > MaxNonProduceFrameBytes && a.beginOnReader == nil:
		return c.rejectConnection(fmt.Errorf("%w: key %d with %d bytes", errBadFrame, h.key, n))
	}
	p.api = a
	frame, err := c.readFrame(n, p)
	if err != nil {
		return err
	}
	c.lastRequest.Store(c.s.sinceOpen())
	p.r = &request{requestHeader: h, api: a, size: n + 4, conn: c, barrierTurn: c.s.cfg.Replica.BarrierTurn()}
	if h.key == apiVersionsKey && (h.version < a.min || h.version > a.max) {
		p.run = func(context.Context) response { return c.s.respondUnsupportedVersion(p.r.correlation) }
		return nil
	}
	if p.r.requestHeader, p.r.body, err = parseRequestHeader(h, h.version >= a.flexible, frame); err != nil {
		return c.rejectConnection(err)
	}
	return c.startRequest(p)
}

func (c *conn) startRequest(p *pendingRequest) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = c.reportPanic(p.r, fault)
		}
	}()
	if p.api.beginOnReader != nil {
		p.run, err = p.api.beginOnReader(c.s, c.ctx, p.r)
		return err
	}
	r, serve := p.r, p.api.serve
	p.run = func(ctx context.Context) response {
		a, err := serve(c.s, ctx, r)
		if err != nil {
			c.rejectRequest(err)
			a.closeConnection = true
		}
		return a
	}
	return nil
}

// rejectRequest fails a request that has no response, and ends its connection.
func (c *conn) rejectRequest(err error) {
	if !errors.Is(err, context.Canceled) {
		_ = c.rejectConnection(err)
	}
}

func (c *conn) freeRequest(p *pendingRequest) {
	c.frameBudget.Release(p.connBytes)
	p.connBytes = 0
	c.freeFrame(p)
}

// freeFrame releases the frame's memory; nothing may reference its bytes any
// more.
func (c *conn) freeFrame(p *pendingRequest) {
	p.frame.releaseAll()
	if p.holdsSpare {
		p.holdsSpare = false
		<-c.s.spareFrame
	}
}

// rejectConnection logs why a connection is closed.
func (c *conn) rejectConnection(err error) error {
	c.s.metrics.badFrames.Inc()
	level := slog.LevelInfo
	if errors.Is(err, errNotKafka) && c.s.logLimit.allow("foreign", time.Now()) {
		level = slog.LevelWarn
	}
	c.s.cfg.Log.Log(c.ctx, level, "connection closed: bad request", "peer", c.net.RemoteAddr(), "reason", err)
	return err
}

// reportPanic converts a handler's panic to an error that ends the connection.
func (c *conn) reportPanic(r *request, fault any) error {
	c.s.metrics.handlerPanics.Inc()
	c.s.cfg.Log.Error("BUG: handler panicked, connection closed", "key", r.key, "version", r.version,
		"fault", fault, slog.String("stack", string(debug.Stack())))
	return fmt.Errorf("BUG: handler of %s (key %d) panicked", r.api.name, r.key)
}

func newDecodeError(r *request, err error) error {
	return fmt.Errorf("%w: decode %s (key %d) version %d: %w", errBadFrame, r.api.name, r.key, r.version, err)
}
