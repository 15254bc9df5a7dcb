package sim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Kafka's errors, as far as clients act on them.
const (
	errNone               = 0
	errOutOfRange         = 1
	errUnknownTopic       = 3
	errCoordinatorLoading = 14
	errNotCoordinator     = 16
	errIllegalGeneration  = 22
	errUnknownMember      = 25
	errRebalancing        = 27
	errTopicExists        = 36
	errInvalidPartitions  = 37
	errOutOfOrderSequence = 45
	errDuplicateSequence  = 46
	errUnknownProducer    = 59
	errMemberIDRequired   = 79
	errThrottled          = 89
)

// producer sends batches to its partitions and waits for acks=all.
type producer struct {
	client
	targets    []TP
	idempotent bool
	minBatches int // minimum number of batches
	pace       time.Duration

	// Each partition has its own producer id: if a recovery makes the producer
	// start over on one, requests in flight to the others keep their id.
	ids        map[TP]producerIdentity
	seqs       map[TP]int32 // next sequence
	counts     map[TP]int   // next record
	batchCount int
	queue      []*pendingBatch // not acknowledged, in order
	inFlight   int             // of them, sent on this connection
	failures   int
	// oneAtATime: one request at a time, until the partition is known to
	// exist, as clients with metadata do.
	oneAtATime bool
	switchedAt int // number of batches when it last changed its broker by itself
}

// producerIdentity is a producer id and its epoch.
type producerIdentity struct {
	pid   int64
	epoch int16
}

// pendingBatch is one batch until it is acknowledged.
type pendingBatch struct {
	batch         Batch
	values        [][]byte
	seq           int32
	correlationID int32 // correlation id of the last send
	req           *kmsg.ProduceRequest
	tries         int
	firstSent     int64 // milliseconds
}

func (w *world) newProducer(name string, idem bool, addrs []string, targets ...TP) *producer {
	return &producer{client: client{w: w, name: name, addrs: addrs}, targets: targets, idempotent: idem, minBatches: 200, pace: 60 * time.Millisecond,
		ids: map[TP]producerIdentity{}, seqs: map[TP]int32{}, counts: map[TP]int{}}
}

// producerWindow is how many requests a producer has in flight.
const producerWindow = 3

// run produces until stop is closed and the quota is reached, and then until
// everything is acknowledged. ctx bounds it.
func (p *producer) run(ctx context.Context, stop <-chan struct{}) {
	defer p.closeConn()
	for _, tp := range p.targets {
		if p.ids[tp] = (producerIdentity{-1, -1}); p.idempotent && !p.initProducerID(ctx, tp) {
			return
		}
	}
	for ctx.Err() == nil {
		limit := producerWindow
		if !p.idempotent || p.oneAtATime {
			limit = 1
		}
		more := p.batchCount < p.minBatches || !isClosed(stop)
		if !more && len(p.queue) == 0 {
			return
		}
		if more && len(p.queue) == 0 {
			p.waitPace(ctx)
			burst := 1 + int(p.w.generateNumber("burst", p.name, p.batchCount)%uint64(limit))
			for range burst {
				p.queueBatch()
			}
		}
		if !p.sendQueued(ctx, limit) {
			continue
		}
		if p.inFlight > 0 && !p.receiveAck(ctx) {
			p.failOver(ctx)
		}
		// Sometimes continue while responses are outstanding.
		if p.inFlight > 0 && more && len(p.queue) < limit && p.w.generateNumber("overlap", p.name, p.batchCount)%2 == 0 {
			p.queueBatch()
		}
		if p.batchCount-p.switchedAt >= 40 && len(p.queue) == 0 {
			p.addrIndex++ // another broker, in another zone
			p.closeConn()
			p.switchedAt = p.batchCount
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (p *producer) waitPace(ctx context.Context) {
	d := time.Duration(p.w.generateNumber("pace", p.name, p.batchCount) % uint64(2*p.pace))
	select {
	case <-time.After(d + 1):
	case <-ctx.Done():
	}
}

// initProducerID gets a producer id for a partition.
func (p *producer) initProducerID(ctx context.Context, tp TP) bool {
	for ctx.Err() == nil {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.ProducerID, req.ProducerEpoch = -1, -1
		resp, err := p.requestWithRetry(ctx, req, 4)
		if err != nil {
			return false
		}
		if r := resp.(*kmsg.InitProducerIDResponse); r.ErrorCode == errNone {
			p.ids[tp], p.seqs[tp] = producerIdentity{r.ProducerID, r.ProducerEpoch}, 0
			return true
		}
		if p.backOff(ctx) != nil {
			return false
		}
	}
	return false
}

// queueBatch adds a batch of a generated size to the queue.
func (p *producer) queueBatch() {
	v := p.w.generateNumber("batch", p.name, p.batchCount)
	tp := p.targets[v%uint64(len(p.targets))]
	count := 1 + int((v>>8)%5)
	size := 40 + int((v>>16)%400)
	switch (v >> 40) % 16 {
	case 0:
		size = 8_000 + int((v>>16)%40_000)
	case 1, 2, 3:
		size = 1_000 + int((v>>16)%4_000)
	}
	b := &pendingBatch{batch: Batch{Record{p.name, tp, p.counts[tp]}, count, p.idempotent}}
	for i := range count {
		r := b.batch.First
		r.N += i
		b.values = append(b.values, r.encodeValue(size))
	}
	p.batchCount++
	p.counts[tp] += count
	b.seq = p.seqs[tp]
	p.seqs[tp] += int32(count)
	p.queue = append(p.queue, b)
	p.w.history.update(func() { p.w.history.Sent = append(p.w.history.Sent, b.batch) })
}

// sendQueued sends what is queued and not in flight.
func (p *producer) sendQueued(ctx context.Context, limit int) bool {
	if err := p.ensureConnected(ctx); err != nil {
		return false
	}
	for p.inFlight < len(p.queue) && p.inFlight < limit {
		if !p.sendBatch(p.queue[p.inFlight]) {
			p.failOver(ctx)
			return false
		}
		p.inFlight++
	}
	return true
}

func (p *producer) sendBatch(b *pendingBatch) bool {
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 10_000
	q.SetVersion([]int16{3, 7, 8, 9, 11, 12}[p.w.generateNumber("version", p.name, 0)%6])
	t := kmsg.NewProduceRequestTopic()
	t.Topic = b.batch.First.TP.Topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition = b.batch.First.TP.Partition
	seq := b.seq
	if !p.idempotent {
		seq = -1
	}
	id := p.ids[b.batch.First.TP]
	part.Records = encodeBatch(time.Now().UnixMilli(), batchHeader{producerIdentity: id, seq: seq}, b.values)
	t.Partitions = append(t.Partitions, part)
	q.Topics = append(q.Topics, t)
	b.req = q
	if b.tries++; b.tries == 1 {
		b.firstSent = time.Now().UnixMilli()
	}
	var err error
	b.correlationID, err = p.sendRequest(q)
	return err == nil
}

// receiveAck receives the response to the oldest request; false if that failed.
func (p *producer) receiveAck(ctx context.Context) bool {
	b := p.queue[0]
	resp, err := p.readResponse(b.req, b.correlationID)
	if err != nil {
		return false
	}
	r := resp.(*kmsg.ProduceResponse)
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		p.w.history.reportViolation("%s: the response to a batch has %d topics", p.name, len(r.Topics))
		return false
	}
	part := r.Topics[0].Partitions[0]
	base := part.BaseOffset
	switch part.ErrorCode {
	case errNone:
	case errDuplicateSequence:
		base = Unknown
	case errOutOfOrderSequence, errUnknownProducer:
		return p.handleOutOfOrder(ctx, b, part.ErrorCode)
	default:
		p.w.trace("client %s refused %v %d", p.name, b.batch.First, part.ErrorCode)
		if part.ErrorMessage != nil && strings.Contains(*part.ErrorMessage, metadata.ErrSessionLost.Error()) {
			p.w.countState(lostInFlight, 1)
		}
		p.oneAtATime = p.oneAtATime || part.ErrorCode == errUnknownTopic
		if !isRetriable(part.ErrorCode) {
			p.w.history.reportViolation("%s: %v refused with error %d", p.name, b.batch.First, part.ErrorCode)
		}
		return false
	}
	p.w.trace("client %s acked %v %d", p.name, b.batch.First, base)
	p.w.history.update(func() {
		p.w.history.Acks = append(p.w.history.Acks, Ack{b.batch, base, time.Now()})
		p.w.history.addAckedBatch(b, base)
	})
	p.queue, p.inFlight, p.failures, p.oneAtATime = p.queue[1:], p.inFlight-1, 0, false
	return true
}

// handleOutOfOrder handles an error that a producer's first unacknowledged batch must
// not get, because nothing before it is missing, unless a recovery lost it. Then
// Kafka's producers start over.
func (p *producer) handleOutOfOrder(ctx context.Context, b *pendingBatch, code int16) bool {
	if p.w.recoveryCount() == 0 {
		p.w.history.reportViolation("%s: %v, with nothing unacknowledged before it, got error %d", p.name, b.batch.First, code)
	}
	p.closeConn()
	p.inFlight = 0
	tp := b.batch.First.TP
	if !p.initProducerID(ctx, tp) {
		return false
	}
	for _, b := range p.queue {
		if b.batch.First.TP == tp {
			b.seq = p.seqs[tp]
			p.seqs[tp] += int32(b.batch.Count)
		}
	}
	return true
}

func isRetriable(code int16) bool {
	switch code {
	case -1, 2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 56, 60, 75, 89, 100:
		return true
	}
	return false
}

// failOver abandons the connection and moves to another broker: everything in flight
// is sent again, in order.
func (p *producer) failOver(ctx context.Context) {
	p.closeConn()
	p.inFlight = 0
	p.failures++
	p.addrIndex++
	p.w.trace("client %s failed at %s, %d queued", p.name, fmt.Sprint(p.addrs[p.addrIndex%len(p.addrs)]), len(p.queue))
	_ = p.backOff(ctx) // its error is ctx's, which run checks
}
