package broker

// DescribeGroups, key 15, versions 0-6.
//
// Behaviour: classic groups only; a group of the consumer protocol is described
// by ConsumerGroupDescribe. An unknown group is "Dead" without an error up to
// version 5, GROUP_ID_NOT_FOUND from version 6 on. groups/describe_groups.go.
// Gaps: authorized operations are those of a cluster without an authorizer.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleDescribeGroups(ctx context.Context, r *request, q *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	return s.cfg.Groups.Describe(ctx, r.groupClient(), q)
}
