package sim

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaderProducer is a producer without idempotence that goes where Metadata tells it to: it
// sends each batch once, without waiting for the answers to those before, and turns
// to another broker when it hears that its partition's leader is one. Promise 5
// says that its order holds, or that brokers count that it may not.
type leaderProducer struct {
	client             // asks for Metadata
	tp          TP     // that it writes to
	leaderAddr  string // of the leader that it knows
	leader      *leaderConn
	connCount   int // so far
	batchNumber int // of the next batch
	lastSent    time.Time
	wg          sync.WaitGroup // of those who take answers
}

// leaderConn is a mover's connection to one broker.
type leaderConn struct {
	client
	inFlight chan inFlightRequest // in order; whoever closes it sends no more
	broken   atomic.Bool
}

// inFlightRequest is a request on its way.
type inFlightRequest struct {
	id  int32
	req *kmsg.ProduceRequest
}

// leaderProducerTopic is the topic that movers write to; only they do.
const leaderProducerTopic = "move"

const (
	// maxTravelTime is how long a request may be on its way to a broker: a mover that
	// goes to another one leaves it so long. What is in a socket nobody can wait for.
	maxTravelTime = 30 * time.Millisecond
	// leaderProducerWindow is how many batches of a mover are unanswered.
	leaderProducerWindow = 5
)

// run sends batches until stop is closed.
func (m *leaderProducer) run(ctx context.Context, stop <-chan struct{}) {
	defer m.wg.Wait()
	defer m.closeConn()
	defer m.leaveLeader()
	next := time.Now()
	for ctx.Err() == nil && !isClosed(stop) {
		if now := time.Now(); !now.Before(next) {
			next = now.Add(100*time.Millisecond + time.Duration(m.w.generateNumber("refresh", m.name, m.batchNumber)%700_000_000))
			if m.followLeader(ctx) != nil {
				m.closeConn()
				m.addrIndex++
			}
		}
		if m.leader != nil && !m.sendBatch() {
			m.leaveLeader()
			next = time.Now()
		}
		select {
		case <-time.After(20*time.Millisecond + time.Duration(m.w.generateNumber("pace", m.name, m.batchNumber)%60_000_000)):
		case <-ctx.Done():
		}
		m.batchNumber++
	}
}

// leaveLeader gives the connection up; what is not answered on it is taken as it comes.
func (m *leaderProducer) leaveLeader() {
	if m.leader != nil {
		close(m.leader.inFlight)
		m.leader, m.leaderAddr = nil, ""
	}
}

// followLeader asks who leads, and goes there.
func (m *leaderProducer) followLeader(ctx context.Context) error {
	q := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &m.tp.Topic
	q.Topics = append(q.Topics, t)
	resp, err := m.requestOnce(ctx, q, 9)
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
	if addr == "" || addr == m.leaderAddr {
		return nil
	}
	m.leaveLeader()
	if wait := time.Until(m.lastSent.Add(maxTravelTime)); wait > 0 {
		time.Sleep(wait)
	}
	m.connCount++
	c := &leaderConn{client: client{w: m.w, name: fmt.Sprintf("%s.%d", m.name, m.connCount), addrs: []string{addr}}, inFlight: make(chan inFlightRequest, leaderProducerWindow)}
	if c.conn, err = m.w.net.dial(ctx, c.name, addr); err != nil {
		return nil // the answer named somebody who is gone: ask again in time
	}
	m.leader, m.leaderAddr = c, addr
	m.wg.Go(c.receiveResponses)
	return nil
}

// sendBatch sends the next batch, unless too many are unanswered; false where the
// connection is no good.
func (m *leaderProducer) sendBatch() bool {
	c := m.leader
	if len(c.inFlight) == cap(c.inFlight) || c.broken.Load() {
		return !c.broken.Load()
	}
	r := Record{m.name, m.tp, m.batchNumber}
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 10_000
	q.SetVersion(9)
	t := kmsg.NewProduceRequestTopic()
	t.Topic = m.tp.Topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition = m.tp.Partition
	size := 100
	if m.w.generateNumber("size", m.name, m.batchNumber)%4 == 0 {
		size = 12_000 // as an object
	}
	p.Records = encodeBatch(time.Now().UnixMilli(), batchHeader{producerIdentity: producerIdentity{-1, -1}, seq: -1}, [][]byte{r.encodeValue(size)})
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	id, err := c.sendRequest(q)
	m.lastSent = time.Now()
	m.w.history.update(func() { m.w.history.LeaderSends = append(m.w.history.LeaderSends, LeaderSend{r, m.connCount}) })
	if err != nil {
		return false
	}
	c.inFlight <- inFlightRequest{id, q} // there is room
	return true
}

// receiveResponses takes the answers, and closes the connection behind the last.
func (c *leaderConn) receiveResponses() {
	defer c.closeConn()
	for u := range c.inFlight {
		if c.broken.Load() {
			continue
		}
		resp, err := c.readResponse(u.req, u.id)
		if err != nil {
			c.broken.Store(true)
			continue
		}
		if code, _ := produceResult(resp); code != errNone && !isRetriable(code) {
			c.w.history.reportViolation("%s: a batch was refused with error %d", c.name, code)
		}
	}
}

// startLeaderProducers starts movers in every zone, and without one.
func (r *run) startLeaderProducers() {
	for i := range 4 {
		m := &leaderProducer{client: client{w: r.world, name: fmt.Sprintf("mv%d", i), addrs: r.brokerAddrs(i)}, tp: TP{leaderProducerTopic, int32(i % 2)}}
		if i == 3 {
			m.addrs = []string{r.processes[0].zoneAddr(-1), r.processes[1].zoneAddr(-1)}
		}
		r.producers.Go(func() {
			time.Sleep(m.startDelay())
			m.run(r.ctx, r.stopProducing)
		})
	}
}
