package broker

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/zonewise/zonewise/internal/apportion"
	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// countedConn counts the bytes of a socket: what the cloud sees, below TLS.
type countedConn struct {
	net.Conn
	in, out atomic.Int64
	// Notified of reads and writes; nil in tests.
	activity                    *wal.ConnectionActivity
	requestStall, responseStall *stallTimer
}

// Read implements net.Conn.
func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	if c.activity != nil {
		c.activity.Read(n)
		c.requestStall.recordProgress()
	}
	return n, err
}

// Write implements net.Conn.
func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n))
	return n, err
}

// writeBuffers sends all of b, in one system call if the socket supports it.
func (c *countedConn) writeBuffers(b *net.Buffers) error {
	n, err := b.WriteTo(c.Conn)
	c.out.Add(n)
	if c.responseStall != nil {
		c.responseStall.recordProgress()
	}
	return err
}

// trafficKind selects the cost components of a request's bytes.
type trafficKind uint8

const (
	trafficControl trafficKind = iota
	trafficProduce
	trafficFetch
	trafficGroup
)

func (k trafficKind) costComponents() (request, response costkeys.Component) {
	switch k {
	case trafficProduce:
		return costkeys.ComponentProduce, costkeys.ComponentProduceReply
	case trafficFetch:
		return costkeys.ComponentFetch, costkeys.ComponentFetchReply
	case trafficGroup:
		return costkeys.ComponentGroup, costkeys.ComponentGroup
	}
	return costkeys.ComponentControl, costkeys.ComponentControl
}

// attribution attributes the bytes of a request and its response to topics, by
// their record bytes.
type attribution struct {
	topics []metadata.TopicID
	bytes  []uint64
	gets   uint64 // its billable GETs
	group  string
}

func (b *attribution) addBytes(t metadata.TopicID, bytes int) {
	for i := range b.topics {
		if b.topics[i] == t {
			b.bytes[i] += uint64(bytes)
			return
		}
	}
	b.topics, b.bytes = append(b.topics, t), append(b.bytes, uint64(bytes))
}

// MaxMeterCells bounds the cells between two calls of Take: further keys are
// added to __other__, known keys are still counted.
const MaxMeterCells = 20_000

// Meter counts the read side of the cost ledger: socket bytes by zone pair, and
// served bytes and their GETs by topic, principal and group.
type Meter struct {
	zone metadata.ZoneID // the broker's

	mu    sync.Mutex
	cells map[metadata.CellKey]costkeys.Quantity
}

func newMeter(zone metadata.ZoneID) *Meter {
	return &Meter{zone: zone, cells: map[metadata.CellKey]costkeys.Quantity{}}
}

// Take returns what was counted since the last call, sorted, and begins
// anew. The caller commits it, once.
func (m *Meter) Take() []metadata.Cell {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]metadata.Cell, 0, len(m.cells))
	for k, q := range m.cells {
		out = append(out, metadata.Cell{Key: k, Quantity: q})
	}
	clear(m.cells)
	metadata.SortCells(out)
	return out
}

// Add counts a quantity that some other part of the broker measured.
func (m *Meter) Add(k metadata.CellKey, q costkeys.Quantity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addLocked(k, q)
}

func (m *Meter) addLocked(k metadata.CellKey, q costkeys.Quantity) {
	if q.IsZero() {
		return
	}
	old, known := m.cells[k]
	if !known && len(m.cells) >= MaxMeterCells {
		k = metadata.CellKey{Topic: metadata.RowOther, Component: k.Component, Src: k.Src, Dst: k.Dst}
		old = m.cells[k]
	}
	m.cells[k] = old.Add(q)
}

// addSplit distributes total over the topics by their bytes; bytes without a
// topic are __control__'s.
func (m *Meter) addSplit(k metadata.CellKey, total uint64, b *attribution, unit func(uint64) costkeys.Quantity) {
	parts := apportion.Split(total, b.bytes)
	if parts == nil {
		k.Topic = metadata.RowControl
		m.addLocked(k, unit(total))
		return
	}
	for i, n := range parts {
		k.Topic = b.topics[i]
		m.addLocked(k, unit(n))
	}
}

func (m *Meter) cellKey(p *pendingRequest, b *attribution, c costkeys.Component) metadata.CellKey {
	return metadata.CellKey{Component: c, Src: p.r.evidence.BilledZone, Dst: m.zone, Principal: p.r.conn.principal(), Group: b.group}
}

// recordRequest counts a request's bytes: client to broker.
func (m *Meter) recordRequest(p *pendingRequest, a *response) {
	p.r.conn.attributedBytes.Add(int64(p.r.size))
	c, _ := p.api.traffic.costComponents()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addSplit(m.cellKey(p, &a.attribution, c), uint64(p.r.size), &a.attribution, costkeys.Units)
}

// recordResponse counts a response's bytes, broker to client, and for fetches
// the served bytes and their GETs.
func (m *Meter) recordResponse(p *pendingRequest, a *response, size int) {
	p.r.conn.attributedBytes.Add(int64(size))
	_, c := p.api.traffic.costComponents()
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.cellKey(p, &a.attribution, c)
	k.Src, k.Dst = k.Dst, k.Src
	m.addSplit(k, uint64(size), &a.attribution, costkeys.Units)
	if p.api.traffic != trafficFetch {
		return
	}
	k.Dst = ""
	k.Component = costkeys.ComponentGet
	m.addSplit(k, a.attribution.gets*costkeys.NanoRequests, &a.attribution, costkeys.Units)
	k.Component = costkeys.ComponentBytesOut
	for i, t := range a.attribution.topics {
		k.Topic = t
		m.addLocked(k, costkeys.Units(a.attribution.bytes[i]))
	}
}

// recordUnattributed counts a connection's socket bytes that belong to no
// request: truncated frames and responses.
func (m *Meter) recordUnattributed(c *conn) {
	rest := c.net.in.Load() + c.net.out.Load() - c.attributedBytes.Load()
	if rest <= 0 {
		return
	}
	m.Add(metadata.CellKey{Topic: metadata.RowControl, Component: costkeys.ComponentControl, Src: c.clientEvidence.BilledZone, Dst: m.zone,
		Principal: c.principal()}, costkeys.Units(uint64(rest)))
}
