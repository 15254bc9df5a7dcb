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

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Versions from which on topics come by id.
const (
	commitByID    = 10 // OffsetCommit
	fetchByID     = 10 // OffsetFetch
	txnCommitByID = 6  // TxnOffsetCommit
)

func (s *Server) offsetCommit(ctx context.Context, r *request, q *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	if q.Version < commitByID {
		return s.cfg.Groups.CommitOffsets(ctx, r.groupClient(), q)
	}
	names := s.namesOf(ctx, idsOf(q.Topics, func(t *kmsg.OffsetCommitRequestTopic) [16]byte { return t.TopicID }))
	var unknown []kmsg.OffsetCommitResponseTopic
	known := q.Topics[:0]
	for _, t := range q.Topics {
		if t.Topic = names[t.TopicID]; t.Topic != "" {
			known = append(known, t)
			continue
		}
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, errUnknownTopicID
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

func (s *Server) txnOffsetCommit(ctx context.Context, r *request, q *kmsg.TxnOffsetCommitRequest) *kmsg.TxnOffsetCommitResponse {
	if q.Version < txnCommitByID {
		return s.cfg.Groups.CommitTxnOffsets(ctx, r.groupClient(), q)
	}
	names := s.namesOf(ctx, idsOf(q.Topics, func(t *kmsg.TxnOffsetCommitRequestTopic) [16]byte { return t.TopicID }))
	var unknown []kmsg.TxnOffsetCommitResponseTopic
	known := q.Topics[:0]
	for _, t := range q.Topics {
		if t.Topic = names[t.TopicID]; t.Topic != "" {
			known = append(known, t)
			continue
		}
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, errUnknownTopicID
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

func (s *Server) offsetFetch(ctx context.Context, r *request, q *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	if q.Version < fetchByID {
		return s.cfg.Groups.FetchOffsets(ctx, r.groupClient(), q)
	}
	var ids []metadata.TopicID
	for i := range q.Groups {
		ids = append(ids, idsOf(q.Groups[i].Topics, func(t *kmsg.OffsetFetchRequestGroupTopic) [16]byte { return t.TopicID })...)
	}
	names := s.namesOf(ctx, ids)
	unknown := make([][]kmsg.OffsetFetchRequestGroupTopic, len(q.Groups))
	for i := range q.Groups {
		g := &q.Groups[i]
		if g.Topics == nil {
			continue // all of the group's
		}
		known := make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(g.Topics)) // never nil
		for _, t := range g.Topics {
			if t.Topic = names[t.TopicID]; t.Topic != "" {
				known = append(known, t)
			} else {
				unknown[i] = append(unknown[i], t)
			}
		}
		g.Topics = known
	}
	resp := s.cfg.Groups.FetchOffsets(ctx, r.groupClient(), q)
	for i := range resp.Groups { // in the order of the request's, cut short where the client has gone
		s.fetchedByID(&resp.Groups[i], &q.Groups[i], unknown[i])
	}
	return resp
}

// fetchedByID puts ids into what one group was answered, and the topics that
// are not there behind it.
func (s *Server) fetchedByID(rg *kmsg.OffsetFetchResponseGroup, g *kmsg.OffsetFetchRequestGroup, unknown []kmsg.OffsetFetchRequestGroupTopic) {
	if rg.ErrorCode != errNone {
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
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p, -1, -1, new(string), errUnknownTopicID
			rt.Partitions = append(rt.Partitions, rp)
		}
		rg.Topics = append(rg.Topics, rt)
	}
}

// idsOf are the ids of a request's topics.
func idsOf[T any](topics []T, id func(*T) [16]byte) []metadata.TopicID {
	out := make([]metadata.TopicID, len(topics))
	for i := range topics {
		out[i] = id(&topics[i])
	}
	return out
}

// namesOf maps ids to names, without those that are not there.
func (s *Server) namesOf(ctx context.Context, ids []metadata.TopicID) map[metadata.TopicID]string {
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
