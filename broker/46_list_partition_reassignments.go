package broker

// ListPartitionReassignments, key 46, version 0.
//
// Behaviour: there are no reassignments, so the list is always empty; Kafka,
// too, omits partitions without one.
// Gaps: none.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleListPartitionReassignments(context.Context, *request, *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	return kmsg.NewPtrListPartitionReassignmentsResponse()
}
