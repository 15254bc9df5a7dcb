package broker

// OffsetCommit (8) and OffsetFetch (9), version 10, and TxnOffsetCommit (28),
// version 6 (KIP-1319): topics by id.
//
// Behaviour: as in Kafka, ids become names before the coordinator is asked, and
// names ids in its answer; positions are those of the name at that moment. An
// id that is not there, after a read barrier, is 100 for each of its partitions
// whoever asks; a commit that names no other topic goes no further.
// Gaps: none known.

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Versions from which on topics come by id.
const (
	offsetCommitByID    = 10 // OffsetCommit
	offsetFetchByID     = 10 // OffsetFetch
	txnOffsetCommitByID = 6  // TxnOffsetCommit
)

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
	for i := range resp.Topics { // in the order of the request's
		resp.Topics[i].TopicID = known[i].TopicID
	}
	resp.Topics = append(resp.Topics, unknown...)
	return resp
}

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
	for i := range resp.Topics { // in the order of the request's
		resp.Topics[i].TopicID = known[i].TopicID
	}
	resp.Topics = append(resp.Topics, unknown...)
	return resp
}

func (s *Server) handleOffsetFetch(ctx context.Context, r *request, q *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	if q.Version < offsetFetchByID {
		return s.cfg.Groups.FetchOffsets(ctx, r.groupClient(), q)
	}
	id := func(t *kmsg.OffsetFetchRequestGroupTopic) (*string, [16]byte) { return &t.Topic, t.TopicID }
	var ids []metadata.TopicID
	for i := range q.Groups {
		ids = append(ids, listTopicIDs(q.Groups[i].Topics, id)...)
	}
	names := s.lookupTopicNames(ctx, ids)
	unknown := make([][]kmsg.OffsetFetchRequestGroupTopic, len(q.Groups))
	for i := range q.Groups {
		if g := &q.Groups[i]; g.Topics != nil { // nil asks for all of the group's
			g.Topics, unknown[i] = splitKnownTopics(g.Topics, names, id)
		}
	}
	resp := s.cfg.Groups.FetchOffsets(ctx, r.groupClient(), q)
	for i := range resp.Groups { // in the order of the request's, cut short where the client has gone
		s.fillTopicIDs(&resp.Groups[i], &q.Groups[i], unknown[i])
	}
	return resp
}

// fillTopicIDs puts ids into what one group was answered, and the topics that
// are not there behind it.
func (s *Server) fillTopicIDs(rg *kmsg.OffsetFetchResponseGroup, g *kmsg.OffsetFetchRequestGroup, unknown []kmsg.OffsetFetchRequestGroupTopic) {
	if rg.ErrorCode != noError {
		return
	}
	if g.Topics == nil {
		s.cfg.Replica.View(func(st *metadata.State) {
			rg.Topics = slices.DeleteFunc(rg.Topics, func(t kmsg.OffsetFetchResponseGroupTopic) bool {
				_, there := st.TopicNamed(t.Topic)
				return !there // deleted since, and its positions with it
			})
			for i := range rg.Topics {
				t, _ := st.TopicNamed(rg.Topics[i].Topic)
				rg.Topics[i].TopicID = t.ID
			}
		})
		return
	}
	for i := range rg.Topics {
		rg.Topics[i].TopicID = g.Topics[i].TopicID
	}
	for _, t := range unknown {
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p, -1, -1, new(string), kerr.UnknownTopicID.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		rg.Topics = append(rg.Topics, rt)
	}
}

// listTopicIDs are the ids of a request's topics; id tells of one where its name goes,
// and its id.
func listTopicIDs[T any](topics []T, id func(*T) (*string, [16]byte)) []metadata.TopicID {
	out := make([]metadata.TopicID, len(topics))
	for i := range topics {
		_, out[i] = id(&topics[i])
	}
	return out
}

// splitKnownTopics names the topics of a request that are there, and sets those apart
// that are not. known is never nil.
func splitKnownTopics[T any](topics []T, names map[metadata.TopicID]string, id func(*T) (*string, [16]byte)) (known, unknown []T) {
	known = make([]T, 0, len(topics))
	for i := range topics {
		name, of := id(&topics[i])
		if *name = names[of]; *name != "" {
			known = append(known, topics[i])
		} else {
			unknown = append(unknown, topics[i])
		}
	}
	return known, unknown
}

// lookupTopicNames maps ids to names, without those that are not there.
func (s *Server) lookupTopicNames(ctx context.Context, ids []metadata.TopicID) map[metadata.TopicID]string {
	names := make(map[metadata.TopicID]string, len(ids))
	look := func() (all bool) {
		all = true
		s.cfg.Replica.View(func(st *metadata.State) {
			for _, id := range ids {
				t, ok := st.Topic(id)
				if ok {
					names[id] = t.Name
				}
				all = all && ok
			}
		})
		return all
	}
	if !look() && s.barrier(ctx) == nil {
		look()
	}
	return names
}
