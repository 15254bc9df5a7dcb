package broker

// EndTxn, key 26, versions 0-5.
//
// Behaviour: one entry writes the marker to every partition of the transaction
// and makes its offset commits visible. From version 5 (KIP-890) each
// transaction bumps the producer epoch, which the response returns; a retry is
// answered from the state. Older versions end the transaction that was ongoing
// when the request arrived and no later one: the command has its start, read
// after a barrier.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleEndTxn(ctx context.Context, r *request, q *kmsg.EndTxnRequest) *kmsg.EndTxnResponse {
	resp := kmsg.NewPtrEndTxnResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if q.TransactionalID == "" {
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp
	}
	end := metadata.EndTxn{ID: q.TransactionalID, Producer: metadata.ProducerID(q.ProducerID), Epoch: metadata.ProducerEpoch(q.ProducerEpoch),
		Commit: q.Commit, Bump: q.Version >= 5}
	if !end.Bump {
		if s.barrier(ctx) != nil {
			resp.ErrorCode = kerr.CoordinatorNotAvailable.Code
			return resp
		}
		s.cfg.Replica.View(func(st *metadata.State) {
			if v, ok := st.Txn(end.ID); ok && v.Status == metadata.TxnOngoing {
				end.Start = v.Start
			}
		})
	}
	out, code := s.commitTxnCommand(ctx, r, end)
	if resp.ErrorCode = mapFencedCode(code, q.Version >= 2); code == noError && end.Bump {
		resp.ProducerID, resp.ProducerEpoch = out.Value, int16(out.Epoch)
	}
	return resp
}
