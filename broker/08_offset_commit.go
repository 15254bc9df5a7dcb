package broker

// OffsetCommit, key 8, versions 2-10.
//
// Behaviour: package groups checks the member and commits the offsets
// (groups/offset_commit.go). Version 10 names topics by id (KIP-1319): as in
// Kafka, ids become names before the coordinator handles the request, and
// names become ids in its response. An unknown id, after a read barrier, is
// UNKNOWN_TOPIC_ID for each of its partitions, whatever the group's state; a
// request with only unknown ids does not reach the coordinator.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetCommitByID is the first version of OffsetCommit with topic ids.
const offsetCommitByID = 10

func (s *Server) handleOffsetCommit(ctx context.Context, r *request, q *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	if q.Version < offsetCommitByID {
		return s.cfg.Groups.CommitOffsets(ctx, r.groupClient(), q)
	}
	id := func(t *kmsg.OffsetCommitRequestTopic) (*string, [16]byte) { return &t.Topic, t.TopicID }
	known, missing := splitKnownTopics(q.Topics, s.lookupTopicNames(ctx, listTopicIDs(q.Topics, id)), id)
	var unknown []kmsg.OffsetCommitResponseTopic
	for _, t := range missing {
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.UnknownTopicID.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		unknown = append(unknown, rt)
	}
	q.Topics = known
	resp := kmsg.NewPtrOffsetCommitResponse()
	if len(known) > 0 || len(unknown) == 0 {
		resp = s.cfg.Groups.CommitOffsets(ctx, r.groupClient(), q)
	}
	for i := range resp.Topics { // in the order of the request
		resp.Topics[i].TopicID = known[i].TopicID
	}
	resp.Topics = append(resp.Topics, unknown...)
	return resp
}
