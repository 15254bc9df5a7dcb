package broker

// SyncGroup, key 14, versions 0-5.
//
// Behaviour: waits for the leader's assignment and for its write to the log.
// Version 5 checks the protocol's type and name (KIP-559). The Java client does
// not retry COORDINATOR_LOAD_IN_PROGRESS here: it gets COORDINATOR_NOT_AVAILABLE
// instead. groups/classic_requests.go, classic_sync.go.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleSyncGroup(ctx context.Context, r *request, q *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	return s.cfg.Groups.Sync(ctx, r.groupClient(), q)
}
