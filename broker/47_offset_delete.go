package broker

// OffsetDelete, key 47, version 0.
//
// Behaviour: in a group with members only offsets of topics that no member
// subscribes to can be deleted (KIP-496). groups/offset_delete.go.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleOffsetDelete(ctx context.Context, r *request, q *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	return s.cfg.Groups.DeleteOffsets(ctx, r.groupClient(), q)
}
