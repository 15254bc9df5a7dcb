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
)

// Bounds of a Produce request's timeout: a shorter one would turn a brief delay
// into an error, a longer one would hold the connection's frames too long.
const (
	minProduceTimeout = time.Second
	maxProduceTimeout = 2 * time.Minute
)

// producePartResult is the result of one partition of a Produce request.
type producePartResult struct {
	tp            metadata.TopicPartition
	bytes         int
	ack           Ack
	code          int16
	text          string
	recordErrors  []recordError
	baseOffset    metadata.Offset
	logStart      metadata.Offset
	appendTime    metadata.UnixMilli // -1: the batch has the producer's timestamps
	refusedEarly  bool               // refused before the partition was checked
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
	txnStart   metadata.Revision  // of the ongoing transaction; 0 from version 12
}

// beginProduce checks and appends on the reader; the function that it returns
// waits for the acks and responds.
func (s *Server) beginProduce(ctx context.Context, r *request) (func(context.Context) response, error) {
	q, err := decodeProduce(r.version, r.body)
	if err != nil {
		return nil, err
	}
	r.body = nil // the batches reference their parts of it
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

// notServing reports whether this broker accepts no batches.
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

// awaitAcks waits for the acks of a request, up to its timeout.
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

// finishProduce is the second half: it runs when it is the request's turn to be
// answered.
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
			continue // Kafka's response is built from partitions, so it lacks these topics
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
