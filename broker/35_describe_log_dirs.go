package broker

// DescribeLogDirs, key 35, versions 1-5.
//
// Behaviour: one synthetic dir. The size of a partition is its live bytes in
// the applied state, compressed, once and not per replica. Tools add up the
// responses of all brokers, so only one broker reports each partition; all
// brokers agree on which. Reads after a barrier.
// Gaps: the volume's totals are unknown (-1): a bucket has none. Spans count
// whole until their last record is gone.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// logDir is the synthetic dir. It is on no disk.
const logDir = "/zonewise"

func (s *Server) handleDescribeLogDirs(ctx context.Context, _ *request, q *kmsg.DescribeLogDirsRequest) *kmsg.DescribeLogDirsResponse {
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = logDir
	if err := s.barrier(ctx); err != nil {
		dir.ErrorCode = kerr.KafkaStorageError.Code // Kafka's code for an offline dir
		resp.Dirs = append(resp.Dirs, dir)
		return resp
	}
	self, v := s.cfg.Self(), s.currentView()
	add := func(st *metadata.State, t metadata.Topic, partitions []int32) {
		rt := kmsg.NewDescribeLogDirsResponseDirTopic()
		rt.Topic = t.Name
		for _, p := range partitions {
			tp := metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(p)}
			h, ok := st.Partition(tp)
			if !ok || v.designatedReplica(tp) != self {
				continue
			}
			rp := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
			rp.Partition, rp.Size = p, h.Bytes
			rt.Partitions = append(rt.Partitions, rp)
		}
		if len(rt.Partitions) > 0 {
			dir.Topics = append(dir.Topics, rt)
		}
	}
	if q.Topics == nil {
		all := s.listTopics()
		s.viewEach(ctx, len(all), func(st *metadata.State, i int) { add(st, all[i], partitionIndexes(all[i].Partitions)) })
	}
	s.viewEach(ctx, len(q.Topics), func(st *metadata.State, i int) {
		if t, ok := st.TopicNamed(q.Topics[i].Topic); ok {
			add(st, t, q.Topics[i].Partitions)
		}
	})
	resp.Dirs = append(resp.Dirs, dir)
	return resp
}

func partitionIndexes(n int32) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

func (s *Server) estimateLogDirs(q kmsg.Request) (sum int64) {
	topics := q.(*kmsg.DescribeLogDirsRequest).Topics
	if topics == nil {
		return s.readUseCount("topics")*topicResponseBytes + s.readUseCount("partitions")*logDirResponseBytes
	}
	for i := range topics {
		sum += topicResponseBytes + int64(len(topics[i].Partitions))*logDirResponseBytes
	}
	return sum
}
