package broker

// DeleteRecords, key 21, versions 0-2.
//
// Behaviour: raises the log start; -1 is the high watermark, beyond it is
// OFFSET_OUT_OF_RANGE. A topic whose cleanup.policy has compact without delete
// is POLICY_VIOLATION.
// Gaps: none.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleDeleteRecords(ctx context.Context, r *request, q *kmsg.DeleteRecordsRequest) *kmsg.DeleteRecordsResponse {
	resp := kmsg.NewPtrDeleteRecordsResponse()
	barred := s.barrier(ctx)
	var cmds []metadata.Command
	var at [][2]int
	for i, t := range q.Topics {
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = t.Topic
		for j, p := range t.Partitions {
			if ctx.Err() != nil {
				return resp
			}
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition, rp.LowWatermark = p.Partition, -1
			cmd, code := s.planTrim(t.Topic, p.Partition, p.Offset)
			if code != noError && barred != nil {
				code = kerr.RequestTimedOut.Code
			}
			if rp.ErrorCode = code; code == noError {
				cmds, at = append(cmds, cmd), append(at, [2]int{i, j})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if len(cmds) == 0 {
		return resp
	}
	out, err := s.submit(ctx, cmds)
	for k, ij := range at {
		rp := &resp.Topics[ij[0]].Partitions[ij[1]]
		if rp.ErrorCode, _ = r.commandError(out, err, k); rp.ErrorCode == noError {
			rp.LowWatermark = out.Commands[k].Value
		}
	}
	return resp
}

func (s *Server) planTrim(name string, index int32, offset int64) (cmd metadata.TrimPartition, code int16) {
	s.cfg.Replica.View(func(st *metadata.State) {
		own := s.readOwnSettings(st)
		t, ok := st.TopicNamed(name)
		tp := metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(index)}
		h, there := st.Partition(tp)
		switch {
		case !ok || !there:
			code = kerr.UnknownTopicOrPartition.Code
		case refusesTrim(&own, t.Configs):
			code = kerr.PolicyViolation.Code
		case offset < -1 || offset > int64(h.Next):
			code = kerr.OffsetOutOfRange.Code
		default:
			cmd = metadata.TrimPartition{Topic: t.ID, Partition: tp.Partition, LogStart: metadata.Offset(offset)}
		}
	})
	return cmd, code
}
