package sim

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaderProducer is a producer without idempotence that follows the leader in
// Metadata. It sends each batch once, without waiting for the responses to earlier
// ones, and moves to another broker when Metadata names that one as the leader. By
// promise 5 its order holds, or brokers count that it may not.
type leaderProducer struct {
	client             // for Metadata requests
	tp          TP     // that it writes to
	leaderAddr  string // of the known leader
	leader      *leaderConn
	connCount   int // so far
	batchNumber int // of the next batch
	lastSent    time.Time
	wg          sync.WaitGroup // of the goroutines that receive responses
}

// leaderConn is a leader producer's connection to one broker.
type leaderConn struct {
	client
	inFlight chan inFlightRequest // in order; closed when no more requests follow
	broken   atomic.Bool
}

// inFlightRequest is a request in flight.
type inFlightRequest struct {
	id  int32
	req *kmsg.ProduceRequest
}

// leaderProducerTopic is the topic of the leader producers; only they write to it.
const leaderProducerTopic = "move"

const (
	// maxTravelTime is the time that a request may take to a broker: a leader producer
	// waits so long before it moves to another one, because brokers cannot wait for
	// what is still in a socket.
	maxTravelTime = 30 * time.Millisecond
	// leaderProducerWindow is the maximum number of unanswered batches.
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

// leaveLeader abandons the connection; its outstanding responses are still received.
func (m *leaderProducer) leaveLeader() {
	if m.leader != nil {
		close(m.leader.inFlight)
		m.leader, m.leaderAddr = nil, ""
	}
}

// followLeader requests Metadata and connects to the leader.
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
		return nil // the response named a broker that is gone: the request is repeated later
	}
	m.leader, m.leaderAddr = c, addr
	m.wg.Go(c.receiveResponses)
	return nil
}

// sendBatch sends the next batch, unless too many are unanswered; false if the
// connection has failed.
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
	c.inFlight <- inFlightRequest{id, q} // never blocks
	return true
}

// receiveResponses receives the responses, and closes the connection after the last.
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

// startLeaderProducers starts leader producers in every zone, and without a zone.
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
