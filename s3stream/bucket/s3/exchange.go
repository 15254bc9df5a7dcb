package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// exchange is what went over the connection for one request.
type exchange struct {
	sent   bool
	status int // 0 while there is no answer
	// conns counts the connections on which the request was sent: the
	// transport sends it again by itself where a kept connection turns out
	// to be closed.
	conns atomic.Int64
}

type exchangeKey struct{}

// withExchange returns a context whose request is written down.
func withExchange(ctx context.Context) (context.Context, *exchange) {
	x := new(exchange)
	return context.WithValue(ctx, exchangeKey{}, x), x
}

// countingClient is the SDK's way to the network, and the place where attempts are
// seen as the server sees them. It runs on the caller's goroutine.
type countingClient struct{ client *http.Client }

func (c countingClient) Do(request *http.Request) (*http.Response, error) {
	x, ok := request.Context().Value(exchangeKey{}).(*exchange)
	if !ok || x.sent {
		// If the SDK retried or redirected by itself, the meters would
		// be wrong.
		return nil, errors.New("BUG: a request that is not counted")
	}
	x.sent = true
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { x.conns.Add(1) }}
	response, err := c.client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	if err == nil {
		x.status = response.StatusCode
	}
	return response, err
}

// payload is the body of a put. The HTTP transport may go on reading a body
// after the request has been given up; close makes sure that it reads nothing
// of a buffer that its owner uses again.
type payload struct {
	mu     sync.Mutex
	bytes  []byte // nil once closed; guarded by mu
	size   int64
	offset int64 // guarded by mu
}

func newPayload(body []byte) *payload { return &payload{bytes: body, size: int64(len(body))} }

var errPayloadClosed = errors.New("request was canceled")

func (p *payload) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes, p.offset = nil, -1
}

func (p *payload) Read(into []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.offset < 0 {
		return 0, errPayloadClosed
	}
	if p.offset >= p.size {
		return 0, io.EOF
	}
	n := copy(into, p.bytes[p.offset:])
	p.offset += int64(n)
	return n, nil
}

func (p *payload) Seek(offset int64, whence int) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.offset < 0 {
		return 0, errPayloadClosed
	}
	switch whence {
	case io.SeekCurrent:
		offset += p.offset
	case io.SeekEnd:
		offset += p.size
	}
	if offset < 0 || offset > p.size {
		return 0, errors.New("BUG: seek outside the payload")
	}
	p.offset = offset
	return offset, nil
}
