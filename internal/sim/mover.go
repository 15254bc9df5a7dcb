package sim

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// mover is a producer without idempotence that goes where Metadata tells it to: it
// sends each batch once, without waiting for the answers to those before, and turns
// to another broker when it hears that its partition's leader is one. Promise 5
// says that its order holds, or that brokers count that it may not.
type mover struct {
	client          // asks for Metadata
	tp       TP     // that it writes to
	addr     string // of the leader that it knows
	at       *moverConn
	conns    int // so far
	n        int // of the next batch
	lastSent time.Time
	wg       sync.WaitGroup // of those who take answers
}

// moverConn is a mover's connection to one broker.
type moverConn struct {
	client
	sent   chan unanswered // in order; whoever closes it sends no more
	broken atomic.Bool
}

// unanswered is a request on its way.
type unanswered struct {
	id  int32
	req *kmsg.ProduceRequest
}

// moving is the topic that movers write to; only they do.
const moving = "move"

const (
	// travelTime is how long a request may be on its way to a broker: a mover that
	// goes to another one leaves it so long. What is in a socket nobody can wait for.
	travelTime = 30 * time.Millisecond
	// moverWindow is how many batches of a mover are unanswered.
	moverWindow = 5
)

// run sends batches until stop is closed.
func (m *mover) run(ctx context.Context, stop <-chan struct{}) {
	defer m.wg.Wait()
	defer m.drop()
	defer m.leave()
	next := time.Now()
	for ctx.Err() == nil && !isClosed(stop) {
		if now := time.Now(); !now.Before(next) {
			next = now.Add(100*time.Millisecond + time.Duration(m.w.draw("refresh", m.name, m.n)%700_000_000))
			if m.look(ctx) != nil {
				m.drop()
				m.next++
			}
		}
		if m.at != nil && !m.write() {
			m.leave()
			next = time.Now()
		}
		select {
		case <-time.After(20*time.Millisecond + time.Duration(m.w.draw("pace", m.name, m.n)%60_000_000)):
		case <-ctx.Done():
		}
		m.n++
	}
}

// leave gives the connection up; what is not answered on it is taken as it comes.
func (m *mover) leave() {
	if m.at != nil {
		close(m.at.sent)
		m.at, m.addr = nil, ""
	}
}

// look asks who leads, and goes there.
func (m *mover) look(ctx context.Context) error {
	q := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &m.tp.Topic
	q.Topics = append(q.Topics, t)
	resp, err := m.try(ctx, q, 9)
	if err != nil {
		return err
	}
	r := resp.(*kmsg.MetadataResponse)
	addr := ""
	for _, p := range r.Topics[0].Partitions {
		for _, b := range r.Brokers {
			if p.Partition == m.tp.Partition && p.ErrorCode == errNone && b.NodeID == p.Leader {
				addr = fmt.Sprintf("%s:%d", b.Host, b.Port)
			}
		}
	}
	if addr == "" || addr == m.addr {
		return nil
	}
	m.leave()
	if wait := time.Until(m.lastSent.Add(travelTime)); wait > 0 {
		time.Sleep(wait)
	}
	m.conns++
	c := &moverConn{client: client{w: m.w, name: fmt.Sprintf("%s.%d", m.name, m.conns), addrs: []string{addr}}, sent: make(chan unanswered, moverWindow)}
	if c.conn, err = m.w.net.dial(ctx, c.name, addr); err != nil {
		return nil // the answer named somebody who is gone: ask again in time
	}
	m.at, m.addr = c, addr
	m.wg.Go(c.take)
	return nil
}

// write sends the next batch, unless too many are unanswered; false where the
// connection is no good.
func (m *mover) write() bool {
	c := m.at
	if len(c.sent) == cap(c.sent) || c.broken.Load() {
		return !c.broken.Load()
	}
	r := Record{m.name, m.tp, m.n}
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 10_000
	q.SetVersion(9)
	t := kmsg.NewProduceRequestTopic()
	t.Topic = m.tp.Topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition = m.tp.Partition
	size := 100
	if m.w.draw("size", m.name, m.n)%4 == 0 {
		size = 12_000 // as an object
	}
	p.Records = batchOf(time.Now().UnixMilli(), batchHead{identity: identity{-1, -1}, seq: -1}, [][]byte{r.value(size)})
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	id, err := c.send(q)
	m.lastSent = time.Now()
	m.w.history.note(func() { m.w.history.Moved = append(m.w.history.Moved, Moved{r, m.conns}) })
	if err != nil {
		return false
	}
	c.sent <- unanswered{id, q} // there is room
	return true
}

// take takes the answers, and closes the connection behind the last.
func (c *moverConn) take() {
	defer c.drop()
	for u := range c.sent {
		if c.broken.Load() {
			continue
		}
		resp, err := c.receive(u.req, u.id)
		if err != nil {
			c.broken.Store(true)
			continue
		}
		if code, _ := produced(resp); code != errNone && !retriable(code) {
			c.w.history.wrong("%s: a batch is refused with error %d", c.name, code)
		}
	}
}

// startMovers starts movers in every zone, and without one.
func (r *run) startMovers() {
	for i := range 4 {
		m := &mover{client: client{w: r.world, name: fmt.Sprintf("mv%d", i), addrs: r.addrs(i)}, tp: TP{moving, int32(i % 2)}}
		if i == 3 {
			m.addrs = []string{r.processes[0].addr(-1), r.processes[1].addr(-1)}
		}
		r.clients.Go(func() {
			time.Sleep(m.start())
			m.run(r.ctx, r.stop)
		})
	}
}
