package broker

// JoinGroup, key 11, versions 0-9.
//
// Behaviour: waits until the rebalance is complete, which may take the members'
// rebalance timeout. From version 4 a new dynamic member first gets its id
// (MEMBER_ID_REQUIRED, KIP-394); version 5 has static members (KIP-345); version
// 9 has SkipAssignment (KIP-814). groups/classic_requests.go, classic_join.go.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleJoinGroup(ctx context.Context, r *request, q *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	return s.cfg.Groups.Join(ctx, r.groupClient(), q)
}
