package broker

// Heartbeat, key 12, versions 0-4.
//
// Behaviour: REBALANCE_IN_PROGRESS makes a member rejoin. While the group is
// loaded the response is NONE, as in Kafka: clients do not handle
// COORDINATOR_LOAD_IN_PROGRESS here. groups/classic_requests.go.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleHeartbeat(ctx context.Context, r *request, q *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	return s.cfg.Groups.Heartbeat(ctx, r.groupClient(), q)
}
