package broker

// AlterReplicaLogDirs, key 34, versions 1-2.
//
// Behaviour: there is one log dir (logDir), so a move to it has nothing to do,
// and any other is LOG_DIR_NOT_FOUND. A partition that does not exist is
// UNKNOWN_TOPIC_OR_PARTITION, after a read barrier.
// Gaps: none.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleAlterReplicaLogDirs(ctx context.Context, _ *request, q *kmsg.AlterReplicaLogDirsRequest) *kmsg.AlterReplicaLogDirsResponse {
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	barred := s.barrier(ctx)
	// Kafka's response is by topic, across the request's dirs.
	at := map[string]int{}
	for _, d := range q.Dirs {
		for _, t := range d.Topics {
			i, ok := at[t.Topic]
			if !ok {
				i = len(resp.Topics)
				at[t.Topic] = i
				rt := kmsg.NewAlterReplicaLogDirsResponseTopic()
				rt.Topic = t.Topic
				resp.Topics = append(resp.Topics, rt)
			}
			for _, p := range t.Partitions {
				if ctx.Err() != nil {
					return resp
				}
				rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p, s.checkPartitionExists(t.Topic, p, barred)
				if d.Dir != logDir {
					rp.ErrorCode = kerr.LogDirNotFound.Code
				}
				resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, rp)
			}
		}
	}
	return resp
}

// checkPartitionExists returns the error code for a partition: none, that it
// does not exist, or that this is unverified because the barrier failed.
func (s *Server) checkPartitionExists(topic string, index int32, barred error) (code int16) {
	code = kerr.UnknownTopicOrPartition.Code
	s.cfg.Replica.View(func(st *metadata.State) {
		if t, ok := st.TopicNamed(topic); ok && index >= 0 && index < t.Partitions {
			code = noError
		}
	})
	if code != noError && barred != nil {
		return kerr.RequestTimedOut.Code
	}
	return code
}
