package broker

// DescribeTopicPartitions, key 75, version 0 (KIP-966).
//
// Behaviour: topics in order of name, in pages of 1 to 2000 partitions. A page
// starts at the cursor's topic and partition or, if that topic is gone, at the
// first partition of the next one. A cursor before partition 0, or at a topic
// that is not requested, is INVALID_REQUEST for each topic. Replicas as in
// Metadata.
// Gaps: no eligible leader replicas: replicas are synthetic.

import (
	"context"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// maxDescribedPartitions is Kafka's max.request.partition.size.limit.
const maxDescribedPartitions = 2000

func (s *Server) handleDescribeTopicPartitions(ctx context.Context, r *request, q *kmsg.DescribeTopicPartitionsRequest) *kmsg.DescribeTopicPartitionsResponse {
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	if isBadCursor(q) {
		for _, t := range q.Topics {
			rt := kmsg.NewDescribeTopicPartitionsResponseTopic()
			rt.Topic, rt.ErrorCode = kmsg.StringPtr(t.Topic), kerr.InvalidRequest.Code
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	}
	barred := s.barrier(ctx)
	limit := max(min(maxDescribedPartitions, int(q.ResponsePartitionLimit)), 1)
	v := s.currentView()
	for _, w := range s.selectDescribedTopics(ctx, q) {
		if ctx.Err() != nil {
			break
		}
		if w.code == noError && limit > 0 {
			s.cfg.Replica.View(func(st *metadata.State) { w.view = readTopicView(st, w.view.Topic) })
		}
		switch {
		case *w.name == "":
			w.code = kerr.UnknownServerError.Code
		case barred != nil && w.code == kerr.UnknownTopicOrPartition.Code:
			w.code = kerr.LeaderNotAvailable.Code
		case w.code == kerr.UnknownTopicOrPartition.Code && !isValidTopicName(*w.name):
			w.code = kerr.InvalidTopicException.Code
		}
		from := int32(0)
		if q.Cursor != nil && q.Cursor.Topic == *w.name {
			from = q.Cursor.Partition
		}
		t := w.newTopicResponse(v, r.evidence.Zone)
		if limit == 0 {
			resp.NextCursor = newCursor(*w.name, from)
			break
		}
		rt := kmsg.NewDescribeTopicPartitionsResponseTopic()
		rt.ErrorCode, rt.Topic, rt.TopicID, rt.IsInternal = t.ErrorCode, t.Topic, t.TopicID, t.IsInternal
		if rt.AuthorizedOperations = topicOperations; w.code == kerr.UnknownServerError.Code {
			rt.AuthorizedOperations = math.MinInt32 // as in Kafka, which fails on the name
		}
		parts := t.Partitions[min(int(from), len(t.Partitions)):]
		take := min(limit, len(parts))
		for _, p := range parts[:take] {
			rt.Partitions = append(rt.Partitions, newPartitionDescription(p))
		}
		limit -= take
		if !r.addResponseBytes(40 + len(*w.name) + take*60) {
			break
		}
		resp.Topics = append(resp.Topics, rt)
		if take < len(parts) {
			resp.NextCursor = newCursor(*w.name, from+int32(take))
			break
		}
	}
	return resp
}

func isBadCursor(q *kmsg.DescribeTopicPartitionsRequest) bool {
	return q.Cursor != nil && (q.Cursor.Partition < 0 || len(q.Topics) > 0 &&
		!slices.ContainsFunc(q.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool { return t.Topic == q.Cursor.Topic }))
}

func newCursor(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, partition
	return &c
}

func newPartitionDescription(p kmsg.MetadataResponseTopicPartition) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	d := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	d.ErrorCode, d.Partition, d.LeaderID, d.LeaderEpoch = p.ErrorCode, p.Partition, p.Leader, p.LeaderEpoch
	d.Replicas, d.ISR, d.OfflineReplicas = p.Replicas, p.ISR, p.OfflineReplicas
	// The Java client fails on null, though the protocol allows it.
	d.EligibleLeaderReplicas, d.LastKnownELR = []int32{}, []int32{}
	return d
}

// selectDescribedTopics lists the requested topics (none: all topics), sorted,
// from the cursor's topic.
func (s *Server) selectDescribedTopics(ctx context.Context, q *kmsg.DescribeTopicPartitionsRequest) []requestedTopic {
	want := make([]requestedTopic, 0, len(q.Topics))
	if len(q.Topics) == 0 {
		for _, t := range s.listTopics() {
			want = append(want, requestedTopic{name: &t.Name, view: topicView{Topic: t}})
		}
	}
	s.viewEach(ctx, len(q.Topics), func(st *metadata.State, i int) {
		w := requestedTopic{name: &q.Topics[i].Topic, code: kerr.UnknownTopicOrPartition.Code}
		if t, ok := st.TopicNamed(q.Topics[i].Topic); ok {
			w.view, w.code = topicView{Topic: t}, noError
		}
		want = append(want, w)
	})
	slices.SortStableFunc(want, func(a, b requestedTopic) int { return compareNames(*a.name, *b.name) })
	want = slices.CompactFunc(want, func(a, b requestedTopic) bool { return *a.name == *b.name })
	if q.Cursor != nil {
		want = slices.DeleteFunc(want, func(w requestedTopic) bool { return *w.name < q.Cursor.Topic })
	}
	return want
}

func compareNames(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
