package sim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"

	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// peerToken authenticates brokers to each other.
const peerToken = "between brokers"

// peerPort is the port of the peer interface.
const peerPort = 9192

func (p *process) peerAddr() string { return fmt.Sprintf("%s:%d", p.name, peerPort) }

// peerClient is an instance's client to other brokers: HTTP over the virtual network,
// one connection per request, so that the use of connections is no race.
type peerClient struct {
	w        *world
	instance string
}

var (
	_ node.PeerClient   = (*peerClient)(nil)
	_ node.LivenessPeer = (*peerClient)(nil)
)

// Probe implements node.PeerClient.
func (p *peerClient) Probe(ctx context.Context, addr string) error {
	return p.doRequest(ctx, "probe", http.MethodGet, addr, "/peer/v1/probe")
}

// DrainPartition implements node.PeerClient.
func (p *peerClient) DrainPartition(ctx context.Context, addr string, tp metadata.TopicPartition) error {
	err := p.doRequest(ctx, fmt.Sprintf("drain %s/%d", tp.Topic, tp.Partition), http.MethodPost, addr, fmt.Sprintf("/peer/v1/drain?topic=%s&partition=%d", tp.Topic, tp.Partition))
	if !p.w.isDead(p.instance) {
		p.w.trace("peer %s drained at %s %s/%d: %v", p.instance, addr, tp.Topic, tp.Partition, err == nil)
	}
	return err
}

// HoldConnection implements node.LivenessPeer.
func (p *peerClient) HoldConnection(ctx context.Context, addr string, held func()) error {
	resp, end, err := p.openRequest(ctx, "hold", http.MethodGet, addr, "/peer/v1/hold")
	if err != nil {
		return err
	}
	defer end()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	held()
	_, err = io.ReadFull(resp.Body, make([]byte, 1))
	return err
}

func (p *peerClient) doRequest(ctx context.Context, what, method, addr, path string) error {
	resp, end, err := p.openRequest(ctx, what, method, addr, path)
	if err != nil {
		return err
	}
	defer end()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return err
}

// openRequest opens a connection and sends a request; end closes it.
func (p *peerClient) openRequest(ctx context.Context, what, method, addr, path string) (resp *http.Response, end func(), err error) {
	c, err := p.w.net.dial(ctx, p.instance+" "+what, addr)
	if errors.Is(err, errRefused) {
		err = errors.Join(err, router.ErrRefused)
	}
	if err != nil {
		return nil, nil, err
	}
	if at, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(at) // the virtual network accepts every deadline
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	end = func() { stop(); c.Close() }
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, nil)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+peerToken)
		req.Close = true
		err = req.Write(c)
	}
	if err == nil {
		resp, err = http.ReadResponse(bufio.NewReader(c), req)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return resp, end, nil
}

// peerServer is the peer interface of an instance.
type peerServer struct {
	server *http.Server
	wg     sync.WaitGroup
}

// startPeerServer opens the peer interface; close it when the broker is closed.
func (p *process) startPeerServer(l *brokerInstance) (*peerServer, error) {
	ln, err := p.w.net.listen(l.id, p.peerAddr())
	if err != nil {
		return nil, err
	}
	d := &peerServer{server: node.NewHTTPServer(l.node.PeerHandler(peerToken, nil))}
	d.server.ErrorLog = log.New(io.Discard, "", 0)
	d.wg.Go(func() { _ = d.server.Serve(ln) }) // ends by close, or because the process was killed
	return d, nil
}

func (d *peerServer) close() {
	d.server.Close()
	d.wg.Wait()
}
