package broker

// ElectLeaders, key 43, versions 0-2.
//
// Behaviour: leaders are hints that all brokers compute alike, so every
// partition has its preferred leader: each existing one gets
// ELECTION_NOT_NEEDED, as in Kafka. Null topics mean all partitions; as Kafka
// lists only the elected ones, the response then has the topics without
// partitions.
// Gaps: none.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// electionTypeUnclean is the higher one of the two election types.
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
