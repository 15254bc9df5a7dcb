package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// network is a virtual one: listeners by address, connections with latency.
type network struct {
	generateNumber func(kind string, id string, n int) uint64
	arrivals       *etcdfake.Instants // arrivals at the same instant would race

	mu          sync.Mutex
	listeners   map[string]*listener
	dials       map[string]int
	serverConns map[string][]*conn       // server ends by the listening instance
	unreachable map[string]chan struct{} // addresses that cannot be reached, until the channel is closed
}

func newNetwork(draw func(string, string, int) uint64, arrival *etcdfake.Instants) *network {
	return &network{generateNumber: draw, arrivals: arrival, listeners: map[string]*listener{}, dials: map[string]int{}, serverConns: map[string][]*conn{}, unreachable: map[string]chan struct{}{}}
}

var errRefused = errors.New("connection refused")

type simAddr string

func (a simAddr) Network() string { return "sim" }
func (a simAddr) String() string  { return string(a) }

// listener is one listening address.
type listener struct {
	net    *network
	owner  string // the instance that listens
	addr   simAddr
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// listen opens an address for an instance.
func (n *network) listen(owner, addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("listen at %s: address in use", addr)
	}
	l := &listener{net: n, owner: owner, addr: simAddr(addr), accept: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.listeners[string(l.addr)] == l {
			delete(l.net.listeners, string(l.addr))
		}
	})
	return nil
}

// disconnectOwner disconnects an instance from the network: its listeners and
// connections end at once, and nothing that it still sends arrives.
func (n *network) disconnectOwner(owner string) {
	n.mu.Lock()
	conns := n.serverConns[owner]
	delete(n.serverConns, owner)
	var dead []*listener
	for _, l := range n.listeners {
		if l.owner == owner {
			dead = append(dead, l)
		}
	}
	n.mu.Unlock()
	for _, l := range dead {
		l.Close()
	}
	for _, c := range conns {
		c.out.dropInFlight() // all of them, before the end of one can cause another to send
	}
	for _, c := range conns {
		c.Close()
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

// restoreAddr makes an address reachable again.
func (n *network) restoreAddr(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.unreachable[addr]; c != nil {
		close(c)
		delete(n.unreachable, addr)
	}
}

// cutAddr makes an address unreachable. If broken is set, existing connections to it
// end.
func (n *network) cutAddr(addr string, broken bool) {
	n.mu.Lock()
	if n.unreachable[addr] == nil {
		n.unreachable[addr] = make(chan struct{})
	}
	var ends []*conn
	for _, all := range n.serverConns {
		for _, c := range all {
			if broken && string(c.local) == addr {
				ends = append(ends, c)
			}
		}
	}
	n.mu.Unlock()
	for _, c := range ends {
		c.out.dropInFlight()
	}
	for _, c := range ends {
		c.Close()
	}
}

// dial connects a client to an address. The connection's latencies follow from the
// client, the address, and the number of earlier connections.
func (n *network) dial(ctx context.Context, from, addr string) (net.Conn, error) {
	n.mu.Lock()
	id := from + ">" + addr
	n.dials[id]++
	id = fmt.Sprintf("%s#%d", id, n.dials[id])
	l := n.listeners[addr]
	lost := n.unreachable[addr]
	n.mu.Unlock()
	time.Sleep(n.latency(id, "dial", 0))
	if lost != nil { // no answer, not even a refused connection
		select {
		case <-ctx.Done():
		case <-lost:
		}
		return nil, fmt.Errorf("dial %s: %w", addr, os.ErrDeadlineExceeded)
	}
	if ctx.Err() != nil { // the select below would sometimes continue, and the seed would not replay
		return nil, ctx.Err()
	}
	if l == nil {
		return nil, fmt.Errorf("dial %s: %w", addr, errRefused)
	}
	up, down := newPipe(n, id, "up"), newPipe(n, id, "down")
	client := &conn{in: down, out: up, local: simAddr(from), remote: simAddr(addr)}
	server := &conn{in: up, out: down, local: simAddr(addr), remote: simAddr(from)}
	select {
	case l.accept <- server:
		n.mu.Lock()
		n.serverConns[l.owner] = append(n.serverConns[l.owner], server)
		n.mu.Unlock()
		return client, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %s: %w", addr, errRefused)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// latency is 50 to 700 microseconds one way, sometimes a few milliseconds.
func (n *network) latency(id, way string, i int) time.Duration {
	v := n.generateNumber("net/"+way, id, i)
	d := 50*time.Microsecond + time.Duration((v>>16)%650_000)
	if v%97 == 0 {
		d += time.Duration((v >> 32) % 20_000_000)
	}
	return d
}

// pipeBytes is the buffer of one direction; beyond it, its writer waits.
const pipeBytes = 1 << 20

// pipe is one direction of a connection.
type pipe struct {
	net      *network
	id       string
	way      string
	readable chan struct{} // capacity 1: something changed for the reader
	writable chan struct{} // capacity 1: something changed for the writer

	mu       sync.Mutex
	chunks   []chunk
	buffered int
	sent     int
	last     time.Time
	pushed   time.Time // when the newest chunk was written
	closed   bool
}

// chunk arrives at one instant, together with the following chunks that were
// written at the same instant.
type chunk struct {
	at time.Time
	b  []byte
}

func newPipe(n *network, id, way string) *pipe {
	return &pipe{net: n, id: id, way: way, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
}

func wakeOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// push accepts as much of b as fits.
func (p *pipe) push(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	n = min(len(b), pipeBytes-p.buffered)
	if n == 0 {
		return 0, nil
	}
	p.buffered += n
	now := time.Now()
	if now.Equal(p.pushed) {
		// Bytes written at one instant travel together, in however many writes:
		// how a writer splits them is a race of its own. They are copied once,
		// because responses of megabytes are written in many pieces.
		p.chunks = append(p.chunks, chunk{p.last, bytes.Clone(b[:n])})
		return n, nil
	}
	p.pushed = now
	p.sent++
	at := now.Add(p.net.latency(p.id, p.way, p.sent))
	if !at.After(p.last) {
		at = p.last.Add(1) // in order
	}
	at = p.net.arrivals.Take(at, p.id+p.way+strconv.Itoa(p.sent))
	p.last = at
	p.chunks = append(p.chunks, chunk{at, bytes.Clone(b[:n])})
	wakeOne(p.readable)
	return n, nil
}

// pull returns what has arrived, or how long until something will.
func (p *pipe) pull(b []byte) (n int, wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.chunks) == 0 {
		if p.closed {
			return 0, 0, io.EOF
		}
		return 0, -1, nil
	}
	at := p.chunks[0].at
	if d := time.Until(at); d > 0 {
		return 0, d, nil
	}
	for n < len(b) && len(p.chunks) > 0 && p.chunks[0].at.Equal(at) {
		c := &p.chunks[0]
		took := copy(b[n:], c.b)
		n, c.b = n+took, c.b[took:]
		if len(c.b) == 0 {
			p.chunks = p.chunks[1:]
		}
	}
	p.buffered -= n
	wakeOne(p.writable)
	return n, 0, nil
}

// dropInFlight drops the bytes in flight, and accepts no more.
func (p *pipe) dropInFlight() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chunks, p.buffered, p.pushed, p.closed = nil, 0, time.Time{}, true
}

func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	wakeOne(p.readable)
	wakeOne(p.writable)
}

// conn is one end of a connection.
type conn struct {
	in, out       *pipe
	local, remote simAddr
	readDeadline  deadline
	writeDeadline deadline
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		n, wait, err := c.in.pull(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		if err := c.readDeadline.waitFor(c.in.readable, wait); err != nil {
			return 0, err
		}
	}
}

func (c *conn) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := c.out.push(b[done:])
		if err != nil {
			return done, err
		}
		done += n
		if n == 0 {
			if err := c.writeDeadline.waitFor(c.out.writable, -1); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

func (c *conn) Close() error {
	c.in.close()
	c.out.close()
	c.readDeadline.wakeWaiters()
	c.writeDeadline.wakeWaiters()
	return nil
}

func (c *conn) LocalAddr() net.Addr                { return c.local }
func (c *conn) RemoteAddr() net.Addr               { return c.remote }
func (c *conn) SetReadDeadline(t time.Time) error  { c.readDeadline.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.writeDeadline.set(t); return nil }
func (c *conn) SetDeadline(t time.Time) error {
	c.readDeadline.set(t)
	c.writeDeadline.set(t)
	return nil
}

// deadline bounds one direction's waits, and may change under one.
type deadline struct {
	mu      sync.Mutex
	at      time.Time
	changed chan struct{}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

func (d *deadline) wakeWaiters() {
	d.mu.Lock()
	at := d.at
	d.mu.Unlock()
	d.set(at)
}

// waitFor waits for a poke, for a time (negative: without end), or for the
// deadline.
func (d *deadline) waitFor(poked <-chan struct{}, wait time.Duration) error {
	d.mu.Lock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	changed, at := d.changed, d.at
	d.mu.Unlock()
	if !at.IsZero() {
		left := time.Until(at)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		if wait < 0 || left < wait {
			wait = left
		}
	}
	var timer <-chan time.Time
	if wait >= 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-poked:
	case <-changed:
	case <-timer:
	}
	return nil
}
