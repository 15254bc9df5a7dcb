package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// client speaks the raw protocol over one connection at a time, and moves to the
// next address if one fails.
type client struct {
	w             *world
	name          string
	addrs         []string // bootstrap addresses, the own zone's first
	addrIndex     int
	conn          net.Conn
	correlationID int32
	// timeoutOverride is the timeout of a request; 0: requestTimeout.
	timeoutOverride time.Duration
}

// requestTimeout is how long a client waits for a response.
const requestTimeout = 8 * time.Second

func (c *client) effectiveTimeout() time.Duration {
	if c.timeoutOverride > 0 && c.w.recoveryCount() == 0 {
		return c.timeoutOverride
	}
	return requestTimeout // after a recovery it must receive the error that a sequence is missing
}

func (c *client) closeConn() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// ensureConnected makes sure there is a connection, trying addresses in turn.
func (c *client) ensureConnected(ctx context.Context) error {
	for c.conn == nil {
		addr := c.addrs[c.addrIndex%len(c.addrs)]
		conn, err := c.w.net.dial(ctx, c.name, addr)
		if err == nil {
			c.conn = conn
			break
		}
		c.addrIndex++
		if err := c.backOff(ctx); err != nil {
			return err
		}
	}
	return nil
}

// backOff waits for a time that is different for each client, so that clients do not act at the same instant.
func (c *client) backOff(ctx context.Context) error {
	c.correlationID++
	select {
	case <-time.After(20*time.Millisecond + time.Duration(c.w.generateNumber("pause", c.name, int(c.correlationID))%40_000_000)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendRequest writes a request and returns its correlation id. Each request leaves at
// a different instant: two that arrive together race inside a broker.
func (c *client) sendRequest(req kmsg.Request) (int32, error) {
	c.correlationID++
	time.Sleep(1 + time.Duration(c.w.generateNumber("send", c.name, int(c.correlationID))%300_000))
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(c.name))
	b := f.AppendRequest(nil, req, c.correlationID)
	c.w.trace("client %s sends %d/%d to %s, %d bytes %08x", c.name, req.Key(), c.correlationID, c.conn.RemoteAddr(), len(b), crc32.ChecksumIEEE(b))
	c.conn.SetWriteDeadline(time.Now().Add(c.effectiveTimeout()))
	_, err := c.conn.Write(b)
	return c.correlationID, err
}

// readResponse reads the response to a request.
func (c *client) readResponse(req kmsg.Request, id int32) (kmsg.Response, error) {
	c.conn.SetReadDeadline(time.Now().Add(c.effectiveTimeout()))
	var head [4]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c.conn, b); err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != id {
		return nil, fmt.Errorf("got the response to request %d, want %d", got, id)
	}
	c.w.trace("client %s gets %d/%d, %d bytes %08x", c.name, req.Key(), id, len(b), crc32.ChecksumIEEE(b))
	b = b[4:]
	if req.IsFlexible() && req.Key() != 18 {
		b = b[1:] // no tagged fields in the header
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	return resp, resp.ReadFrom(b)
}

// requestWithRetry sends a request and waits for its response, on another connection
// if one fails, until ctx ends.
func (c *client) requestWithRetry(ctx context.Context, req kmsg.Request, version int16) (kmsg.Response, error) {
	for {
		resp, err := c.requestOnce(ctx, req, version)
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c.closeConn()
		c.addrIndex++
		if err := c.backOff(ctx); err != nil {
			return nil, err
		}
	}
}

// requestOnce sends a request once, without a retry.
func (c *client) requestOnce(ctx context.Context, req kmsg.Request, version int16) (kmsg.Response, error) {
	if err := c.ensureConnected(ctx); err != nil {
		return nil, err
	}
	req.SetVersion(version)
	id, err := c.sendRequest(req)
	if err != nil {
		return nil, err
	}
	return c.readResponse(req, id)
}
