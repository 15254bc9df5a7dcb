package broker

// AddPartitionsToTxn, key 24, versions 0-5.
//
// Behaviour: makes partitions part of the transaction, begun where none is
// under way (the older protocol, V1). Where one partition is not there nothing
// is added: it is answered 3, the others 55. Versions 4 and 5 carry several
// transactions (brokers of Kafka send them to their coordinators), each judged
// alone; verifyOnly asks without adding.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// txnParts is one transaction's share of a request, and its answers.
type txnParts struct {
	add    metadata.AddToTxn
	verify bool
	topics []kmsg.AddPartitionsToTxnRequestTopic
	codes  [][]int16 // by topic, by partition
}

func (s *Server) addPartitionsToTxn(ctx context.Context, r *request, q *kmsg.AddPartitionsToTxnRequest) *kmsg.AddPartitionsToTxnResponse {
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	if q.Version < 4 {
		t := txnParts{add: metadata.AddToTxn{ID: q.TransactionalID, Producer: metadata.ProducerID(q.ProducerID), Epoch: metadata.ProducerEpoch(q.ProducerEpoch)}, topics: q.Topics}
		s.addParts(ctx, r, &t)
		for i := range t.topics {
			resp.Topics = append(resp.Topics, t.topic(i))
		}
		return resp
	}
	ctx, cancel := context.WithTimeout(ctx, submitWait) // of all of them: the rest is told to try again
	defer cancel()
	r.lighten()
	for _, x := range q.Transactions {
		if r.conn.ctx.Err() != nil {
			break
		}
		t := txnParts{add: metadata.AddToTxn{ID: x.TransactionalID, Producer: metadata.ProducerID(x.ProducerID), Epoch: metadata.ProducerEpoch(x.ProducerEpoch)}, verify: x.VerifyOnly}
		for _, topic := range x.Topics {
			one := kmsg.NewAddPartitionsToTxnRequestTopic()
			one.Topic, one.Partitions = topic.Topic, topic.Partitions
			t.topics = append(t.topics, one)
		}
		s.addParts(ctx, r, &t)
		rx := kmsg.NewAddPartitionsToTxnResponseTransaction()
		rx.TransactionalID = x.TransactionalID
		for i := range t.topics {
			old := t.topic(i)
			rt := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
			rt.Topic = old.Topic
			for _, p := range old.Partitions {
				rp := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, p.ErrorCode
				rt.Partitions = append(rt.Partitions, rp)
			}
			rx.Topics = append(rx.Topics, rt)
		}
		resp.Transactions = append(resp.Transactions, rx)
	}
	return resp
}

// topic is the answer for the i-th topic.
func (t *txnParts) topic(i int) kmsg.AddPartitionsToTxnResponseTopic {
	rt := kmsg.NewAddPartitionsToTxnResponseTopic()
	rt.Topic = t.topics[i].Topic
	for j, index := range t.topics[i].Partitions {
		rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
		rp.Partition, rp.ErrorCode = index, t.codes[i][j]
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}

// fill gives every partition that has none the code.
func (t *txnParts) fill(code int16) {
	for i := range t.codes {
		for j := range t.codes[i] {
			if t.codes[i][j] == errNone {
				t.codes[i][j] = code
			}
		}
	}
}

func (s *Server) addParts(ctx context.Context, r *request, t *txnParts) {
	if !s.resolveParts(t) {
		if s.barrier(ctx) != nil {
			t.codes = nil
			s.resolveParts(t)
			t.fill(errCoordinatorAway)
			return
		}
		if !s.resolveParts(t) {
			t.fill(errNotAttempted)
			return
		}
	}
	if t.add.ID == "" {
		t.fill(errInvalidRequest)
		return
	}
	if t.verify {
		t.fill(s.verifyParts(ctx, t))
		return
	}
	out, code := s.txnCommand(ctx, r, t.add)
	if code == errUnknownTopic { // deleted between the look and the entry
		n := 0
		for i := range t.codes {
			for j := range t.codes[i] {
				if int64(n) == out.Value {
					t.codes[i][j] = errUnknownTopic
				}
				n++
			}
		}
		code = errNotAttempted
	}
	t.fill(fencedCode(code, r.version >= 2))
}

// resolveParts finds the partitions; false where one is not there, which has
// its code then.
func (s *Server) resolveParts(t *txnParts) bool {
	all := true
	t.add.Partitions, t.codes = nil, make([][]int16, len(t.topics))
	s.cfg.Replica.View(func(st *metadata.State) {
		for i, topic := range t.topics {
			parts, known := namedPartitions(st, topic.Topic, topic.Partitions)
			t.add.Partitions = append(t.add.Partitions, parts...)
			t.codes[i] = make([]int16, len(parts))
			for j := range known {
				if !known[j] {
					all, t.codes[i][j] = false, errUnknownTopic
				}
			}
		}
	})
	return all
}

// verifyParts tells whether the partitions are part of the transaction.
func (s *Server) verifyParts(ctx context.Context, t *txnParts) (code int16) {
	if s.barrier(ctx) != nil {
		return errCoordinatorAway
	}
	s.cfg.Replica.View(func(st *metadata.State) {
		v, ok := st.Txn(t.add.ID)
		switch {
		case !ok || v.Producer != t.add.Producer:
			code = errProducerMapping
		case v.Epoch != t.add.Epoch:
			code = errProducerFenced
		case v.Status != metadata.TxnOngoing || !v.Has(t.add.Partitions):
			code = errTxnAbortable
		}
	})
	return code
}
