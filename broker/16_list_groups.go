package broker

// ListGroups, key 16, versions 0-5.
//
// Behaviour: the groups of the slots that this broker owns: clients request the
// list from every broker and join the responses. Version 4 filters by state
// (KIP-518), version 5 by type (KIP-848). groups/list_groups.go.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleListGroups(ctx context.Context, r *request, q *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	return s.cfg.Groups.List(ctx, r.groupClient(), q)
}

func (s *Server) estimateListGroups(kmsg.Request) int64 {
	return s.readUseCount("groups") * listedResponseBytes
}
