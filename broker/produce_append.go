package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// appendAllBatches checks and appends every partition's batch, in order.
func (s *Server) appendAllBatches(ctx context.Context, p *produceRequestState) {
	rules, known := s.lookupTopicRules(p.q)
	if !known {
		// The client may know the topic from a broker that is ahead of this one.
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

// produceTopicRules is a topic with its rules for batches.
type produceTopicRules struct {
	metadata.Topic
	known bool
	batch batchRules
	lane  metadata.Lane
}

// lookupTopicRules looks up the request's topics; known is false if a topic or
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
		More: i < len(p.parts)-1 || j < len(p.parts[i])-1, TxnStart: p.batchTxnStart(h)}
	if h.Producer != metadata.NoProducer {
		order := &p.r.conn.order
		key := orderKey{order.firstTopicName(t.ID, t.Name), part.index, h.Producer}
		taken.Predecessor = order.findPredecessor(key, h)
		taken.Outcome = order.recordBatch(key, h)
	}
	ack, err := s.cfg.Writer.Append(ctx, taken)
	if err != nil {
		out.code, out.text = kafkaErrorCode(err), err.Error()
		if p.recordRefused(i, j, t.Topic); taken.Outcome.Pending() {
			taken.Outcome.Settle() // batches that depend on it do not wait
		}
		return
	}
	out.ack = ack
	if t.batch.logAppendTime {
		out.appendTime = p.brokerTime
	}
}
