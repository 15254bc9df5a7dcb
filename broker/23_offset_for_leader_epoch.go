package broker

// OffsetForLeaderEpoch, key 23, versions 2-4.
//
// Behaviour: records carry the constant data epoch 0 and are never truncated,
// so the response is (0, log end), always after a read barrier: the Java
// consumer takes an end below its position for truncation and resets. An epoch
// later than any data epoch is unknown (-1); an epoch later than any leader
// epoch is UNKNOWN_LEADER_EPOCH.
// Gaps: none.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dataEpoch is the leader epoch in every served batch: no part of a log is ever
// replaced, so all data has one epoch.
const dataEpoch = 0

func (s *Server) handleOffsetForLeaderEpoch(ctx context.Context, r *request, q *kmsg.OffsetForLeaderEpochRequest) *kmsg.OffsetForLeaderEpochResponse {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	err := s.barrierSinceArrival(ctx, r)
	for _, t := range q.Topics {
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			if ctx.Err() != nil {
				return resp
			}
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, -1, -1
			_, h, ok := s.lookupPartition(t.Topic, p.Partition)
			switch {
			case err != nil:
				rp.ErrorCode = kerr.UnknownLeaderEpoch.Code // retriable
			case !ok:
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
			case p.CurrentLeaderEpoch > int32(h.Epoch):
				rp.ErrorCode = kerr.UnknownLeaderEpoch.Code
			case p.LeaderEpoch == dataEpoch:
				rp.LeaderEpoch, rp.EndOffset = dataEpoch, int64(h.Next)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
