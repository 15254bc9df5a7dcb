package broker

// TxnOffsetCommit, key 28, versions 0-6.
//
// Behaviour: offsets that become visible when their transaction commits
// (groups/offset_commit_txn.go). Version 6 names topics by id (KIP-1319),
// mapped to names and back as in OffsetCommit.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnOffsetCommitByID is the first version of TxnOffsetCommit with topic ids.
const txnOffsetCommitByID = 6

func (s *Server) handleTxnOffsetCommit(ctx context.Context, r *request, q *kmsg.TxnOffsetCommitRequest) *kmsg.TxnOffsetCommitResponse {
	if q.Version < txnOffsetCommitByID {
		return s.cfg.Groups.CommitTxnOffsets(ctx, r.groupClient(), q)
	}
	id := func(t *kmsg.TxnOffsetCommitRequestTopic) (*string, [16]byte) { return &t.Topic, t.TopicID }
	known, missing := splitKnownTopics(q.Topics, s.lookupTopicNames(ctx, listTopicIDs(q.Topics, id)), id)
	var unknown []kmsg.TxnOffsetCommitResponseTopic
	for _, t := range missing {
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.UnknownTopicID.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		unknown = append(unknown, rt)
	}
	q.Topics = known
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	if len(known) > 0 || len(unknown) == 0 {
		resp = s.cfg.Groups.CommitTxnOffsets(ctx, r.groupClient(), q)
	}
	for i := range resp.Topics { // in the order of the request
		resp.Topics[i].TopicID = known[i].TopicID
	}
	resp.Topics = append(resp.Topics, unknown...)
	return resp
}
