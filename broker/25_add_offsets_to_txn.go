package broker

// AddOffsetsToTxn, key 25, versions 0-4.
//
// Behaviour: adds a group's offsets to the transaction, and begins it if none
// is ongoing (the older protocol, V1): TxnOffsetCommit follows.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleAddOffsetsToTxn(ctx context.Context, r *request, q *kmsg.AddOffsetsToTxnRequest) *kmsg.AddOffsetsToTxnResponse {
	resp := kmsg.NewPtrAddOffsetsToTxnResponse()
	if q.TransactionalID == "" {
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp
	}
	_, code := s.commitTxnCommand(ctx, r, metadata.AddToTxn{ID: q.TransactionalID, Producer: metadata.ProducerID(q.ProducerID),
		Epoch: metadata.ProducerEpoch(q.ProducerEpoch), Groups: []string{q.Group}})
	resp.ErrorCode = mapFencedCode(code, q.Version >= 2)
	return resp
}
