package broker

// AlterPartitionReassignments, key 45, versions 0-1.
//
// Behaviour: replicas are synthetic: a reassignment is checked as Kafka checks
// it, and then succeeds without any work. A cancellation gets
// NO_REASSIGNMENT_IN_PROGRESS: there never is one.
// Gaps: Metadata still lists the replicas of the placement, and the topic's
// replication factor does not change.

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleAlterPartitionReassignments(ctx context.Context, r *request, q *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsResponse {
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange = q.AllowReplicationFactorChange
	barred := s.barrier(ctx)
	v := s.currentView()
	for _, t := range q.Topics {
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			if ctx.Err() != nil {
				return resp
			}
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, s.checkPartitionExists(t.Topic, p.Partition, barred)
			text := ""
			if rp.ErrorCode == noError {
				rp.ErrorCode, text = s.checkReassignment(v, q, t.Topic, p.Replicas)
			} else if rp.ErrorCode == kerr.UnknownTopicOrPartition.Code {
				text = "there is no such partition"
			}
			rp.ErrorMessage = nullableText(text)
			if rt.Partitions = append(rt.Partitions, rp); !r.addResponseBytes(8 + len(text)) {
				return resp
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// checkReassignment checks the target replicas of an existing partition.
func (s *Server) checkReassignment(v *clusterView, q *kmsg.AlterPartitionAssignmentsRequest, topic string, want []int32) (int16, string) {
	if want == nil {
		return kerr.NoReassignmentInProgress.Code, "" // no message, as in Kafka
	}
	if len(want) == 0 {
		return kerr.InvalidReplicaAssignment.Code, "a partition needs a replica"
	}
	if text := checkReplicas(v, want); text != "" {
		return kerr.InvalidReplicaAssignment.Code, text
	}
	rf := int16(0)
	s.cfg.Replica.View(func(st *metadata.State) {
		t, _ := st.TopicNamed(topic)
		rf = t.ReplicationFactor
	})
	if q.Version >= 1 && !q.AllowReplicationFactorChange && len(want) != int(rf) {
		return kerr.InvalidReplicationFactor.Code, fmt.Sprintf("The replication factor is changed from %d to %d", rf, len(want))
	}
	return noError, ""
}
