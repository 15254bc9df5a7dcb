package broker

// LeaveGroup, key 13, versions 0-5.
//
// Behaviour: one member up to version 2, then many with an error code each; the
// reasons of version 5 (KIP-800) go to the log. groups/classic_requests.go.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleLeaveGroup(ctx context.Context, r *request, q *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	return s.cfg.Groups.Leave(ctx, r.groupClient(), q)
}
