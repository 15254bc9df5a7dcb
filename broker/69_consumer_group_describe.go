package broker

// ConsumerGroupDescribe, key 69, versions 0-1.
//
// Behaviour: groups of the consumer protocol only; a classic group, or an unknown
// one, is GROUP_ID_NOT_FOUND. groups/consumer_describe.go.
// Gaps: authorized operations are those of a cluster without an authorizer.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleConsumerGroupDescribe(ctx context.Context, r *request, q *kmsg.ConsumerGroupDescribeRequest) *kmsg.ConsumerGroupDescribeResponse {
	return s.cfg.Groups.ConsumerDescribe(ctx, r.groupClient(), q)
}
