package broker

// ElectLeaders, key 43, versions 0-2.
//
// Behaviour: leaders are hints that every broker computes alike, so that every
// partition has the one it should have: 84 for each that exists, as Kafka says
// where there is nothing to do. Null topics mean all partitions, of which Kafka
// names only those that it did elect for: it lists the topics, with none.
// Gaps: none.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// electionTypeUnclean is the higher of the two types of election.
const electionTypeUnclean = 1

func (s *Server) handleElectLeaders(ctx context.Context, r *request, q *kmsg.ElectLeadersRequest) *kmsg.ElectLeadersResponse {
	resp := kmsg.NewPtrElectLeadersResponse()
	unknown := q.Version >= 1 && (q.ElectionType < 0 || q.ElectionType > electionTypeUnclean)
	if unknown {
		resp.ErrorCode = kerr.InvalidRequest.Code
	}
	barred := s.barrier(ctx)
	if q.Topics == nil && !unknown {
		for _, t := range s.listTopics() {
			rt := kmsg.NewElectLeadersResponseTopic()
			rt.Topic = t.Name
			resp.Topics = append(resp.Topics, rt)
		}
	}
	for _, t := range q.Topics {
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			if ctx.Err() != nil {
				return resp
			}
			rp := kmsg.NewElectLeadersResponseTopicPartition()
			rp.Partition = p
			switch rp.ErrorCode = s.checkPartitionExists(t.Topic, p, barred); rp.ErrorCode {
			case noError:
				rp.ErrorCode, rp.ErrorMessage = kerr.ElectionNotNeeded.Code, nullableText("the partition already has its preferred leader")
			case kerr.UnknownTopicOrPartition.Code:
				rp.ErrorMessage = nullableText("there is no such partition")
			}
			if unknown {
				rp.ErrorCode, rp.ErrorMessage = kerr.InvalidRequest.Code, nullableText("unknown type of election")
			}
			if rt.Partitions = append(rt.Partitions, rp); !r.addResponseBytes(8 + len(*rp.ErrorMessage)) {
				return resp
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
