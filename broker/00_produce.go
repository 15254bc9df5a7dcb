package broker

// Produce, key 0, versions 3-13 (shown from 0 on, KAFKA-18659).
//
// Behaviour: each partition's batch is checked (batch_check.go) and appended
// to the WAL on the connection's reader, in order of arrival, so that requests
// of one connection share a commit; answers go out in order. acks 1 is served
// as all; acks 0 gets no answer, and an error closes the connection. Sequences
// and epochs are judged by apply. Leader hints (KIP-951) with error 6, which
// is answered only while the broker drains or has no session. An answer in
// which everything failed is delayed up to a second.
// Transactional batches of version 12 and later make their partition part of
// the transaction (KIP-890); those of older ones carry the start of the
// transaction that was under way when they came, read behind a barrier, and
// apply refuses them in any other.

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// Bounds of a Produce request's own timeout: below, a passing delay would look
// like an error; above, a connection would hold its frames too long.
const (
	minProduceWait = time.Second
	maxProduceWait = 2 * time.Minute
)

// produced is what becomes of one partition of a Produce request.
type produced struct {
	tp         metadata.TopicPartition
	bytes      int
	ack        Ack
	code       int16
	text       string
	records    []recordError
	base       metadata.Offset
	logStart   metadata.Offset
	appendTime metadata.UnixMilli // -1: the producer's own
	early      bool               // refused before the partition was looked at
	txn        bool               // a transactional batch
	limited    bool               // refused by a limit of the cluster
}

// producing is a Produce request between its two halves.
type producing struct {
	r       *request
	q       *produceRequest
	parts   [][]produced // by topic, by partition
	arrived time.Time
	at      metadata.UnixMilli // the same, by the broker's clock
	txn     metadata.TxnView   // of the request's transactional id
	start   metadata.Revision  // of the transaction under way; 0 from version 12 on
}

// takeProduce checks and appends on the reader; what it returns waits for the
// acks and answers.
func (s *Server) takeProduce(ctx context.Context, r *request) (func(context.Context) answer, error) {
	q, err := decodeProduce(r.version, r.body)
	if err != nil {
		return nil, err
	}
	r.body = nil // batches refer to what they need of it
	p := &producing{r: r, q: q, arrived: time.Now(), at: s.cfg.Clock.Now(), parts: make([][]produced, len(q.topics))}
	for i := range q.topics {
		p.parts[i] = make([]produced, len(q.topics[i].parts))
		for j := range p.parts[i] {
			p.parts[i][j] = produced{base: -1, logStart: -1, appendTime: -1, bytes: len(q.topics[i].parts[j].records)}
		}
	}
	switch {
	case q.acks < -1 || q.acks > 1:
		p.failAll(errInvalidAcks, "acks must be -1, 0 or 1")
	case q.txnID == nil && hasTransactional(q):
		p.failAll(errTxnIDUnauthorized, "transactional batch without a transactional id")
	case s.away():
		p.failAll(errNotLeader, "the broker is leaving or has no session")
	case q.txnID != nil && hasTransactional(q) && !s.joinTxn(ctx, p):
	default:
		s.appendAll(ctx, p)
	}
	return func(ctx context.Context) answer { return s.answerProduce(ctx, p) }, nil
}

// away reports whether this broker takes nothing.
func (s *Server) away() bool {
	return s.draining.Load() || s.cfg.Self() == metadata.NoBroker
}

func (p *producing) failAll(code int16, text string) {
	for i := range p.parts {
		for j := range p.parts[i] {
			p.parts[i][j].code, p.parts[i][j].text = code, text
			p.noteRefused(i, j, metadata.Topic{})
		}
	}
}

func hasTransactional(q *produceRequest) bool {
	for _, t := range q.topics {
		for _, p := range t.parts {
			if h, err := metadata.ParseBatchHeader(p.records); err == nil && h.Transactional() {
				return true
			}
		}
	}
	return false
}

// appendAll judges and appends every partition's batch, in order.
func (s *Server) appendAll(ctx context.Context, p *producing) {
	rules, known := s.produceRules(p.q)
	if !known {
		// The client may have learnt of the topic from a broker that is ahead.
		if s.barrier(ctx) == nil {
			rules, _ = s.produceRules(p.q)
		}
	}
	for i := range p.parts {
		for j := range p.parts[i] {
			s.appendOne(ctx, p, i, j, &rules[i])
		}
	}
}

// topicRules are what Produce needs to know of a topic.
type topicRules struct {
	metadata.Topic
	known bool
	batch batchRules
	lane  metadata.Lane
}

// produceRules looks the request's topics up; known is false where one or a
// partition is missing.
func (s *Server) produceRules(q *produceRequest) (rules []topicRules, known bool) {
	rules, known = make([]topicRules, len(q.topics)), true
	s.cfg.Replica.View(func(st *metadata.State) {
		own := s.settings(st)
		for i, t := range q.topics {
			if rules[i].Topic, rules[i].known = lookTopic(st, t.name, t.id); !rules[i].known {
				known = false
				continue
			}
			rules[i].batch, rules[i].lane = rulesOf(&own, rules[i].Configs)
			for _, p := range t.parts {
				known = known && p.index >= 0 && p.index < rules[i].Partitions
			}
		}
	})
	return rules, known
}

func (s *Server) appendOne(ctx context.Context, p *producing, i, j int, t *topicRules) {
	name, part, out := p.q.topics[i].name, p.q.topics[i].parts[j], &p.parts[i][j]
	switch {
	case !t.known && p.r.version >= 13:
		out.code = errUnknownTopicID
		p.noteRefused(i, j, t.Topic)
		return
	case p.r.clientID != adminClientID && (t.known && InternalTopic(t.Name) || !t.known && InternalTopic(name)):
		out.code = errInvalidTopic
		return
	case !t.known || part.index < 0 || part.index >= t.Partitions:
		out.code = errUnknownTopic
		p.noteRefused(i, j, t.Topic)
		return
	}
	out.tp = metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(part.index)}
	batch, h, bad := s.codecs.checkBatch(part.records, p.r.version, p.at, t.batch)
	if bad == nil && h.Transactional() && h.Producer != p.txn.Producer {
		bad = refuse(errProducerMapping, "producer id %d is not that of the transactional id", h.Producer)
	}
	if bad != nil {
		out.code, out.text, out.records, out.early = bad.code, bad.text, bad.records, bad.early
		s.metrics.refusedBatches.Inc()
		return
	}
	out.txn = h.Transactional()
	taken := wal.Batch{Partition: out.tp, Lane: t.lane, Bytes: batch, Header: h, Principal: p.r.conn.principal(), Zone: p.r.from.Zone, Activity: &p.r.conn.feed,
		More: i < len(p.parts)-1 || j < len(p.parts[i])-1, Start: p.startOf(h)}
	if h.Producer != metadata.NoProducer {
		order := &p.r.conn.order
		key := orderKey{order.name(t.ID, t.Name), part.index, h.Producer}
		taken.Behind = order.behind(key, h)
		taken.Outcome = order.note(key, h)
	}
	ack, err := s.cfg.Writer.Append(ctx, taken)
	if err != nil {
		out.code, out.text = kafkaError(err), err.Error()
		if p.noteRefused(i, j, t.Topic); taken.Outcome.Pending() {
			taken.Outcome.Settle() // whoever waits for it need not
		}
		return
	}
	out.ack = ack
	if t.batch.appendTime {
		out.appendTime = p.at
	}
}

// settle waits for the acks of a request, no longer than its timeout.
func (p *producing) settle(ctx context.Context) {
	wait := min(max(time.Duration(p.q.timeoutMs)*time.Millisecond, minProduceWait), maxProduceWait)
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
				if out.code = produceError(p.r.version, err); err != nil {
					out.text, out.limited = err.Error(), errors.Is(err, metadata.CodeLimit)
				} else {
					out.base = offset
				}
			default:
				out.code, out.text = errTimedOut, "not known to be committed yet; a retry of an idempotent producer lands once"
			}
		}
	}
}

// answerProduce is the second half: it runs when the request's turn to be
// answered has come.
func (s *Server) answerProduce(ctx context.Context, p *producing) answer {
	p.settle(ctx)
	limited := s.noteLimited(p)
	a := answer{bill: p.bill()}
	failed, all := p.failures()
	if p.q.acks == 0 {
		a.silent, a.hangUp = true, failed
		return a
	}
	p.r.conn.delayFailure(ctx, p.arrived, all)
	s.logStarts(p)
	resp := kmsg.NewPtrProduceResponse()
	resp.SetVersion(p.r.version)
	if limited {
		resp.ThrottleMillis = int32(limitThrottle / time.Millisecond)
	}
	hints := s.hints(p.r)
	for i, t := range p.q.topics {
		if len(t.parts) == 0 {
			continue // Kafka answers by partition, and knows nothing of these
		}
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.name, t.id
		for j, part := range t.parts {
			rt.Partitions = append(rt.Partitions, producedPart(p, part.index, &p.parts[i][j], t, hints))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	for _, n := range hints.named() {
		b := kmsg.NewProduceResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = int32(n.ID), n.Host, n.Port, textOf(string(n.Rack))
		resp.Brokers = append(resp.Brokers, b)
	}
	a.resp = resp
	return a
}

func producedPart(p *producing, index int32, out *produced, t produceTopic, hints *hints) kmsg.ProduceResponseTopicPartition {
	rp := kmsg.NewProduceResponseTopicPartition()
	rp.Partition, rp.ErrorCode, rp.ErrorMessage = index, out.code, textOf(out.text)
	rp.BaseOffset, rp.LogAppendTime, rp.LogStartOffset = int64(out.base), int64(out.appendTime), int64(out.logStart)
	if out.code != errNone {
		rp.LogAppendTime = -1
	}
	for _, e := range out.records {
		re := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		re.RelativeOffset, re.ErrorMessage = e.index, textOf(e.text)
		rp.ErrorRecords = append(rp.ErrorRecords, re)
	}
	if out.code == errNotLeader && p.r.version >= 10 {
		if leader, epoch, ok := hints.leader(t.name, t.id, index); ok {
			rp.CurrentLeader.LeaderID, rp.CurrentLeader.LeaderEpoch = int32(leader), int32(epoch)
		}
	}
	return rp
}

// logStarts reads the log starts that go with the acks.
func (s *Server) logStarts(p *producing) {
	s.cfg.Replica.View(func(st *metadata.State) {
		for i := range p.parts {
			for j := range p.parts[i] {
				out := &p.parts[i][j]
				if h, ok := st.Partition(out.tp); ok && out.namesLogStart() {
					out.logStart = h.LogStart
				}
			}
		}
	})
}

// namesLogStart reports whether the answer says where the log starts: with
// success, and with what Kafka's log itself refuses.
func (out *produced) namesLogStart() bool {
	switch out.code {
	case errNone:
		return true
	case errInvalidRecord, errInvalidTimestamp, errOutOfOrder:
		return !out.early
	case errInvalidEpoch, errInvalidTxnState, errTxnAbortable:
		return !out.txn // of a transactional batch the coordinator says so
	}
	return false
}

// failures tells whether any partition failed, and whether all did.
func (p *producing) failures() (anyFailed, all bool) {
	n, bad := 0, 0
	for i := range p.parts {
		for j := range p.parts[i] {
			n++
			if p.parts[i][j].code != errNone {
				bad++
			}
		}
	}
	return bad > 0, n > 0 && bad == n
}

// bill says which topics the request's bytes belong to.
func (p *producing) bill() bill {
	b := bill{}
	for i := range p.parts {
		for j := range p.parts[i] {
			if out := &p.parts[i][j]; !out.tp.Topic.IsZero() {
				b.add(out.tp.Topic, out.bytes)
			}
		}
	}
	return b
}
