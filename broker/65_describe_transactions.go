package broker

// DescribeTransactions, key 65, version 0 (KIP-664).
//
// Behaviour: from the applied state after a barrier, by any broker. Partitions
// of deleted topics are left out. Kafka's Prepare states do not occur.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleDescribeTransactions(ctx context.Context, r *request, q *kmsg.DescribeTransactionsRequest) *kmsg.DescribeTransactionsResponse {
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	resp.TransactionStates = make([]kmsg.DescribeTransactionsResponseTransactionState, 0, len(q.TransactionalIDs))
	err := s.barrier(ctx)
	s.viewEach(ctx, len(q.TransactionalIDs), func(st *metadata.State, i int) {
		id := q.TransactionalIDs[i]
		d := kmsg.NewDescribeTransactionsResponseTransactionState()
		d.TransactionalID = id
		v, ok := st.Txn(id)
		switch {
		case err != nil:
			d.ErrorCode = kerr.CoordinatorNotAvailable.Code
		case id == "":
			d.ErrorCode = kerr.InvalidRequest.Code
		case !ok:
			d.ErrorCode = kerr.TransactionalIDNotFound.Code
		case r.addResponseBytes(len(v.Partitions) * 8):
			fillTxnDescription(st, v, &d)
		}
		resp.TransactionStates = append(resp.TransactionStates, d)
	})
	return resp
}

func fillTxnDescription(st *metadata.State, v metadata.TxnView, r *kmsg.DescribeTransactionsResponseTransactionState) {
	r.State, r.TimeoutMillis = v.Status.String(), int32(v.Timeout)
	r.ProducerID, r.ProducerEpoch = int64(v.Producer), int16(v.Epoch)
	r.StartTimestamp = -1
	if v.Status != metadata.TxnEmpty && v.Started > 0 {
		r.StartTimestamp = int64(v.Started) // also of an ended one, as in Kafka
	}
	if v.Status != metadata.TxnOngoing {
		return
	}
	for _, tp := range v.Partitions { // sorted by topic
		t, ok := st.Topic(tp.Topic)
		if !ok {
			continue
		}
		if n := len(r.Topics); n == 0 || r.Topics[n-1].Topic != t.Name {
			rt := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			rt.Topic = t.Name
			r.Topics = append(r.Topics, rt)
		}
		rt := &r.Topics[len(r.Topics)-1]
		rt.Partitions = append(rt.Partitions, int32(tp.Partition))
	}
}

func (s *Server) estimateDescribeTransactions(q kmsg.Request) int64 {
	return int64(len(q.(*kmsg.DescribeTransactionsRequest).TransactionalIDs)) * transactionResponseBytes
}
