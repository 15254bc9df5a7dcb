package broker

// ListPartitionReassignments, key 46, version 0.
//
// Behaviour: none is ever under way, so the list is empty, whatever was asked
// for; Kafka too leaves out what is not there.
// Gaps: none.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleListPartitionReassignments(context.Context, *request, *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	return kmsg.NewPtrListPartitionReassignmentsResponse()
}
