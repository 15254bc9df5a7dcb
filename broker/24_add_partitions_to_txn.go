package broker

// AddPartitionsToTxn, key 24, versions 0-5.
//
// Behaviour: adds partitions to the transaction, and begins it if none is
// ongoing (the older protocol, V1). If one partition does not exist nothing is
// added: it gets UNKNOWN_TOPIC_OR_PARTITION, the others
// OPERATION_NOT_ATTEMPTED. Versions 4 and 5 carry several transactions (Kafka's
// brokers send them to the coordinators), each handled alone; verifyOnly checks
// without adding.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// txnAddition is one transaction of a request, with its results.
type txnAddition struct {
	add        metadata.AddToTxn
	verifyOnly bool
	topics     []kmsg.AddPartitionsToTxnRequestTopic
	codes      [][]int16 // by topic, by partition
}

func (s *Server) handleAddPartitionsToTxn(ctx context.Context, r *request, q *kmsg.AddPartitionsToTxnRequest) *kmsg.AddPartitionsToTxnResponse {
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	if q.Version < 4 {
		t := txnAddition{add: metadata.AddToTxn{ID: q.TransactionalID, Producer: metadata.ProducerID(q.ProducerID), Epoch: metadata.ProducerEpoch(q.ProducerEpoch)}, topics: q.Topics}
		s.addTxnPartitions(ctx, r, &t)
		for i := range t.topics {
			resp.Topics = append(resp.Topics, t.newTopicResponse(i))
		}
		return resp
	}
	ctx, cancel := context.WithTimeout(ctx, submitTimeout) // for all of them: the rest must be retried
	defer cancel()
	r.releaseHeavySlot()
	for _, x := range q.Transactions {
		if r.conn.ctx.Err() != nil {
			break
		}
		t := txnAddition{add: metadata.AddToTxn{ID: x.TransactionalID, Producer: metadata.ProducerID(x.ProducerID), Epoch: metadata.ProducerEpoch(x.ProducerEpoch)}, verifyOnly: x.VerifyOnly}
		for _, topic := range x.Topics {
			one := kmsg.NewAddPartitionsToTxnRequestTopic()
			one.Topic, one.Partitions = topic.Topic, topic.Partitions
			t.topics = append(t.topics, one)
		}
		s.addTxnPartitions(ctx, r, &t)
		rx := kmsg.NewAddPartitionsToTxnResponseTransaction()
		rx.TransactionalID = x.TransactionalID
		for i := range t.topics {
			old := t.newTopicResponse(i)
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

// newTopicResponse is the response for the i-th topic.
func (t *txnAddition) newTopicResponse(i int) kmsg.AddPartitionsToTxnResponseTopic {
	rt := kmsg.NewAddPartitionsToTxnResponseTopic()
	rt.Topic = t.topics[i].Topic
	for j, index := range t.topics[i].Partitions {
		rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
		rp.Partition, rp.ErrorCode = index, t.codes[i][j]
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}

// fillCodes sets the code of every partition that has none.
func (t *txnAddition) fillCodes(code int16) {
	for i := range t.codes {
		for j := range t.codes[i] {
			if t.codes[i][j] == noError {
				t.codes[i][j] = code
			}
		}
	}
}

func (s *Server) addTxnPartitions(ctx context.Context, r *request, t *txnAddition) {
	if !s.resolveTxnPartitions(t) {
		if s.barrier(ctx) != nil {
			t.codes = nil
			s.resolveTxnPartitions(t)
			t.fillCodes(kerr.CoordinatorNotAvailable.Code)
			return
		}
		if !s.resolveTxnPartitions(t) {
			t.fillCodes(kerr.OperationNotAttempted.Code)
			return
		}
	}
	if t.add.ID == "" {
		t.fillCodes(kerr.InvalidRequest.Code)
		return
	}
	if t.verifyOnly {
		t.fillCodes(s.verifyTxnPartitions(ctx, t))
		return
	}
	out, code := s.commitTxnCommand(ctx, r, t.add)
	if code == kerr.UnknownTopicOrPartition.Code { // deleted between the check and the entry
		n := 0
		for i := range t.codes {
			for j := range t.codes[i] {
				if int64(n) == out.Value {
					t.codes[i][j] = kerr.UnknownTopicOrPartition.Code
				}
				n++
			}
		}
		code = kerr.OperationNotAttempted.Code
	}
	t.fillCodes(mapFencedCode(code, r.version >= 2))
}

// resolveTxnPartitions looks up the partitions; false if one does not exist,
// whose code is then set.
func (s *Server) resolveTxnPartitions(t *txnAddition) bool {
	all := true
	t.add.Partitions, t.codes = nil, make([][]int16, len(t.topics))
	s.cfg.Replica.View(func(st *metadata.State) {
		for i, topic := range t.topics {
			parts, known := lookupPartitions(st, topic.Topic, topic.Partitions)
			t.add.Partitions = append(t.add.Partitions, parts...)
			t.codes[i] = make([]int16, len(parts))
			for j := range known {
				if !known[j] {
					all, t.codes[i][j] = false, kerr.UnknownTopicOrPartition.Code
				}
			}
		}
	})
	return all
}

// verifyTxnPartitions checks that the partitions are part of the transaction.
func (s *Server) verifyTxnPartitions(ctx context.Context, t *txnAddition) (code int16) {
	if s.barrier(ctx) != nil {
		return kerr.CoordinatorNotAvailable.Code
	}
	s.cfg.Replica.View(func(st *metadata.State) {
		v, ok := st.Txn(t.add.ID)
		switch {
		case !ok || v.Producer != t.add.Producer:
			code = kerr.InvalidProducerIDMapping.Code
		case v.Epoch != t.add.Epoch:
			code = kerr.ProducerFenced.Code
		case v.Status != metadata.TxnOngoing || !v.Has(t.add.Partitions):
			code = kerr.TransactionAbortable.Code
		}
	})
	return code
}
