package broker

// DeleteGroups, key 42, versions 0-3.
//
// Behaviour: a group with members is NON_EMPTY_GROUP, an unknown one
// GROUP_ID_NOT_FOUND; the offsets are deleted with the group. groups/delete_groups.go.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleDeleteGroups(ctx context.Context, r *request, q *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	return s.cfg.Groups.Delete(ctx, r.groupClient(), q)
}
