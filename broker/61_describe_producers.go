package broker

// DescribeProducers, key 61, version 0 (KIP-664).
//
// Behaviour: the producer state of each partition, from the applied state. The
// time is state time, up to a tick old; the coordinator epoch is 0.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleDescribeProducers(ctx context.Context, r *request, q *kmsg.DescribeProducersRequest) *kmsg.DescribeProducersResponse {
	resp := kmsg.NewPtrDescribeProducersResponse()
	err := s.barrier(ctx)
	for _, t := range q.Topics {
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = t.Topic
		s.viewEach(ctx, len(t.Partitions), func(st *metadata.State, i int) {
			rp := kmsg.NewDescribeProducersResponseTopicPartition()
			rp.Partition = t.Partitions[i]
			parts, known := lookupPartitions(st, t.Topic, t.Partitions[i:i+1])
			switch {
			case err != nil:
				rp.ErrorCode = kerr.RequestTimedOut.Code
			case !known[0]:
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
				if _, ok := st.TopicNamed(t.Topic); !ok { // Kafka has no message for an unknown partition of a known topic
					rp.ErrorMessage = nullableText("the topic does not exist")
				}
			default:
				if r.responseBytes <= s.responses.maxPerConn {
					rp.ActiveProducers = listActiveProducers(st, parts[0])
				}
				r.addResponseBytes(len(rp.ActiveProducers) * 40)
			}
			rt.Partitions = append(rt.Partitions, rp)
		})
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func listActiveProducers(st *metadata.State, tp metadata.TopicPartition) (out []kmsg.DescribeProducersResponseTopicPartitionActiveProducer) {
	for _, a := range st.Producers(tp) {
		r := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		r.ProducerID, r.ProducerEpoch, r.LastSequence = int64(a.ID), int32(a.Epoch), int32(a.LastSequence)
		r.LastTimestamp, r.CurrentTxnStartOffset = int64(a.LastTime), int64(a.TxnStart)
		out = append(out, r)
	}
	return out
}

func (s *Server) estimateDescribeProducers(q kmsg.Request) (sum int64) {
	for _, t := range q.(*kmsg.DescribeProducersRequest).Topics {
		sum += topicResponseBytes + int64(len(t.Partitions))*producersResponseBytes
	}
	return sum
}
