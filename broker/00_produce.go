package broker

// Produce, key 0, versions 3-13 (advertised from 0, KAFKA-18659).
//
// Behaviour: the connection's reader checks each partition's batch
// (batch_check.go) and appends it to the WAL in order of arrival, so that
// requests of one connection share a commit; responses go out in order. acks 1
// is served as all; acks 0 gets no response, and an error closes the
// connection. Apply checks sequences and epochs. NOT_LEADER_OR_FOLLOWER is
// returned only while the broker drains or has no session, with leader hints
// (KIP-951). A response in which everything failed is delayed by up to a second.
// Transactional batches of version 12 and later add their partition to the
// transaction (KIP-890). Batches of older versions carry the start of the
// transaction that was ongoing when they arrived, read after a barrier; apply
// refuses them in any other transaction.
// Gaps: none known.

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// Bounds of a Produce request's own timeout: below, a passing delay would look
// like an error; above, a connection would hold its frames too long.
const (
	minProduceTimeout = time.Second
	maxProduceTimeout = 2 * time.Minute
)

// producePartResult is what becomes of one partition of a Produce request.
type producePartResult struct {
	tp            metadata.TopicPartition
	bytes         int
	ack           Ack
	code          int16
	text          string
	recordErrors  []recordError
	baseOffset    metadata.Offset
	logStart      metadata.Offset
	appendTime    metadata.UnixMilli // -1: the producer's own
	refusedEarly  bool               // refused before the partition was looked at
	transactional bool               // a transactional batch
	overLimit     bool               // refused by a limit of the cluster
}

// produceRequestState is a Produce request between its two halves.
type produceRequestState struct {
	r          *request
	q          *produceRequest
	parts      [][]producePartResult // by topic, by partition
	arrived    time.Time
	brokerTime metadata.UnixMilli // the same, by the broker's clock
	txn        metadata.TxnView   // of the request's transactional id
	txnStart   metadata.Revision  // of the transaction under way; 0 from version 12 on
}

// beginProduce checks and appends on the reader; what it returns waits for the
// acks and answers.
func (s *Server) beginProduce(ctx context.Context, r *request) (func(context.Context) response, error) {
	q, err := decodeProduce(r.version, r.body)
	if err != nil {
		return nil, err
	}
	r.body = nil // batches refer to what they need of it
	p := &produceRequestState{r: r, q: q, arrived: time.Now(), brokerTime: s.cfg.Clock.Now(), parts: make([][]producePartResult, len(q.topics))}
	for i := range q.topics {
		p.parts[i] = make([]producePartResult, len(q.topics[i].parts))
		for j := range p.parts[i] {
			p.parts[i][j] = producePartResult{baseOffset: -1, logStart: -1, appendTime: -1, bytes: len(q.topics[i].parts[j].records)}
		}
	}
	switch {
	case q.acks < -1 || q.acks > 1:
		p.failAllParts(kerr.InvalidRequiredAcks.Code, "acks must be -1, 0 or 1")
	case q.txnID == nil && hasTransactionalBatch(q):
		p.failAllParts(kerr.TransactionalIDAuthorizationFailed.Code, "transactional batch without a transactional id")
	case s.notServing():
		p.failAllParts(kerr.NotLeaderForPartition.Code, "the broker is shutting down or has no session")
	case q.txnID != nil && hasTransactionalBatch(q) && !s.findRequestTxn(ctx, p):
	default:
		s.appendAllBatches(ctx, p)
	}
	return func(ctx context.Context) response { return s.finishProduce(ctx, p) }, nil
}

// notServing reports whether this broker takes nothing.
func (s *Server) notServing() bool {
	return s.draining.Load() || s.cfg.Self() == metadata.NoBroker
}

func (p *produceRequestState) failAllParts(code int16, text string) {
	for i := range p.parts {
		for j := range p.parts[i] {
			p.parts[i][j].code, p.parts[i][j].text = code, text
			p.recordRefused(i, j, metadata.Topic{})
		}
	}
}

func hasTransactionalBatch(q *produceRequest) bool {
	for _, t := range q.topics {
		for _, p := range t.parts {
			if h, err := metadata.ParseBatchHeader(p.records); err == nil && h.Transactional() {
				return true
			}
		}
	}
	return false
}

// appendAllBatches judges and appends every partition's batch, in order.
func (s *Server) appendAllBatches(ctx context.Context, p *produceRequestState) {
	rules, known := s.lookupTopicRules(p.q)
	if !known {
		// The client may have learnt of the topic from a broker that is ahead.
		if s.barrier(ctx) == nil {
			rules, _ = s.lookupTopicRules(p.q)
		}
	}
	for i := range p.parts {
		for j := range p.parts[i] {
			s.appendBatch(ctx, p, i, j, &rules[i])
		}
	}
}

// produceTopicRules are what Produce needs to know of a topic.
type produceTopicRules struct {
	metadata.Topic
	known bool
	batch batchRules
	lane  metadata.Lane
}

// lookupTopicRules looks the request's topics up; known is false where one or a
// partition is missing.
func (s *Server) lookupTopicRules(q *produceRequest) (rules []produceTopicRules, known bool) {
	rules, known = make([]produceTopicRules, len(q.topics)), true
	s.cfg.Replica.View(func(st *metadata.State) {
		own := s.readOwnSettings(st)
		for i, t := range q.topics {
			if rules[i].Topic, rules[i].known = lookupTopic(st, t.name, t.id); !rules[i].known {
				known = false
				continue
			}
			rules[i].batch, rules[i].lane = readBatchRules(&own, rules[i].Configs)
			for _, p := range t.parts {
				known = known && p.index >= 0 && p.index < rules[i].Partitions
			}
		}
	})
	return rules, known
}

func (s *Server) appendBatch(ctx context.Context, p *produceRequestState, i, j int, t *produceTopicRules) {
	name, part, out := p.q.topics[i].name, p.q.topics[i].parts[j], &p.parts[i][j]
	switch {
	case !t.known && p.r.version >= 13:
		out.code = kerr.UnknownTopicID.Code
		p.recordRefused(i, j, t.Topic)
		return
	case p.r.clientID != adminClientID && (t.known && InternalTopic(t.Name) || !t.known && InternalTopic(name)):
		out.code = kerr.InvalidTopicException.Code
		return
	case !t.known || part.index < 0 || part.index >= t.Partitions:
		out.code = kerr.UnknownTopicOrPartition.Code
		p.recordRefused(i, j, t.Topic)
		return
	}
	out.tp = metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(part.index)}
	batch, h, bad := s.codecs.checkBatch(part.records, p.r.version, p.brokerTime, t.batch)
	if bad == nil && h.Transactional() && h.Producer != p.txn.Producer {
		bad = refuseBatch(kerr.InvalidProducerIDMapping.Code, "producer id %d does not belong to the transactional id", h.Producer)
	}
	if bad != nil {
		out.code, out.text, out.recordErrors, out.refusedEarly = bad.code, bad.text, bad.recordErrors, bad.refusedEarly
		s.metrics.refusedBatches.Inc()
		return
	}
	out.transactional = h.Transactional()
	taken := wal.Batch{Partition: out.tp, Lane: t.lane, Bytes: batch, Header: h, Principal: p.r.conn.principal(), Zone: p.r.evidence.Zone, Activity: &p.r.conn.activity,
		More: i < len(p.parts)-1 || j < len(p.parts[i])-1, Start: p.batchTxnStart(h)}
	if h.Producer != metadata.NoProducer {
		order := &p.r.conn.order
		key := orderKey{order.firstTopicName(t.ID, t.Name), part.index, h.Producer}
		taken.Behind = order.findPredecessor(key, h)
		taken.Outcome = order.recordBatch(key, h)
	}
	ack, err := s.cfg.Writer.Append(ctx, taken)
	if err != nil {
		out.code, out.text = kafkaErrorCode(err), err.Error()
		if p.recordRefused(i, j, t.Topic); taken.Outcome.Pending() {
			taken.Outcome.Settle() // whoever waits for it need not
		}
		return
	}
	out.ack = ack
	if t.batch.logAppendTime {
		out.appendTime = p.brokerTime
	}
}

// awaitAcks waits for the acks of a request, no longer than its timeout.
func (p *produceRequestState) awaitAcks(ctx context.Context) {
	wait := min(max(time.Duration(p.q.timeoutMs)*time.Millisecond, minProduceTimeout), maxProduceTimeout)
	timer := time.NewTimer(time.Until(p.arrived.Add(wait)))
	defer timer.Stop()
	late := false
	for i := range p.parts {
		for j := range p.parts[i] {
			out := &p.parts[i][j]
			if out.ack == nil {
				continue
			}
			if !late {
				select {
				case <-out.ack.Done():
				case <-timer.C:
					late = true
				case <-ctx.Done():
					late = true
				}
			}
			select {
			case <-out.ack.Done():
				offset, err := out.ack.Result()
				if out.code = produceErrorCode(p.r.version, err); err != nil {
					out.text, out.overLimit = err.Error(), errors.Is(err, metadata.CodeLimit)
				} else {
					out.baseOffset = offset
				}
			default:
				out.code, out.text = kerr.RequestTimedOut.Code, "timed out before the commit was confirmed; a retry by an idempotent producer is written once"
			}
		}
	}
}

// finishProduce is the second half: it runs when the request's turn to be
// answered has come.
func (s *Server) finishProduce(ctx context.Context, p *produceRequestState) response {
	p.awaitAcks(ctx)
	limited := s.recordLimitedBatches(p)
	a := response{attribution: p.attributeBytes()}
	failed, all := p.summarizeFailures()
	if p.q.acks == 0 {
		a.noResponse, a.closeConnection = true, failed
		return a
	}
	p.r.conn.delayFailure(ctx, p.arrived, all)
	s.readLogStarts(p)
	resp := kmsg.NewPtrProduceResponse()
	resp.SetVersion(p.r.version)
	if limited {
		resp.ThrottleMillis = int32(limitThrottle / time.Millisecond)
	}
	hints := s.newLeaderHints(p.r)
	for i, t := range p.q.topics {
		if len(t.parts) == 0 {
			continue // Kafka answers by partition, and knows nothing of these
		}
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.name, t.id
		for j, part := range t.parts {
			rt.Partitions = append(rt.Partitions, newProducePartResponse(p, part.index, &p.parts[i][j], t, hints))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	for _, n := range hints.listEndpoints() {
		b := kmsg.NewProduceResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = int32(n.ID), n.Host, n.Port, nullableText(string(n.Rack))
		resp.Brokers = append(resp.Brokers, b)
	}
	a.resp = resp
	return a
}

func newProducePartResponse(p *produceRequestState, index int32, out *producePartResult, t produceTopic, hints *leaderHints) kmsg.ProduceResponseTopicPartition {
	rp := kmsg.NewProduceResponseTopicPartition()
	rp.Partition, rp.ErrorCode, rp.ErrorMessage = index, out.code, nullableText(out.text)
	rp.BaseOffset, rp.LogAppendTime, rp.LogStartOffset = int64(out.baseOffset), int64(out.appendTime), int64(out.logStart)
	if out.code != noError {
		rp.LogAppendTime = -1
	}
	for _, e := range out.recordErrors {
		re := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		re.RelativeOffset, re.ErrorMessage = e.index, nullableText(e.text)
		rp.ErrorRecords = append(rp.ErrorRecords, re)
	}
	if out.code == kerr.NotLeaderForPartition.Code && p.r.version >= 10 {
		if leader, epoch, ok := hints.addLeader(t.name, t.id, index); ok {
			rp.CurrentLeader.LeaderID, rp.CurrentLeader.LeaderEpoch = int32(leader), int32(epoch)
		}
	}
	return rp
}

// readLogStarts reads the log starts that go with the acks.
func (s *Server) readLogStarts(p *produceRequestState) {
	s.cfg.Replica.View(func(st *metadata.State) {
		for i := range p.parts {
			for j := range p.parts[i] {
				out := &p.parts[i][j]
				if h, ok := st.Partition(out.tp); ok && out.includesLogStart() {
					out.logStart = h.LogStart
				}
			}
		}
	})
}

// includesLogStart reports whether the answer says where the log starts: with
// success, and with what Kafka's log itself refuses.
func (out *producePartResult) includesLogStart() bool {
	switch out.code {
	case noError:
		return true
	case kerr.InvalidRecord.Code, kerr.InvalidTimestamp.Code, kerr.OutOfOrderSequenceNumber.Code:
		return !out.refusedEarly
	case kerr.InvalidProducerEpoch.Code, kerr.InvalidTxnState.Code, kerr.TransactionAbortable.Code:
		return !out.transactional // of a transactional batch the coordinator says so
	}
	return false
}

// summarizeFailures tells whether any partition failed, and whether all did.
func (p *produceRequestState) summarizeFailures() (anyFailed, all bool) {
	n, bad := 0, 0
	for i := range p.parts {
		for j := range p.parts[i] {
			n++
			if p.parts[i][j].code != noError {
				bad++
			}
		}
	}
	return bad > 0, n > 0 && bad == n
}

// attributeBytes says which topics the request's bytes belong to.
func (p *produceRequestState) attributeBytes() attribution {
	b := attribution{}
	for i := range p.parts {
		for j := range p.parts[i] {
			if out := &p.parts[i][j]; !out.tp.Topic.IsZero() {
				b.addBytes(out.tp.Topic, out.bytes)
			}
		}
	}
	return b
}
