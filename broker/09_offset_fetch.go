package broker

// OffsetFetch, key 9, versions 1-10.
//
// Behaviour: package groups reads the offsets from the applied state
// (groups/offset_fetch.go). Version 10 names topics by id (KIP-1319), mapped
// to names and back as in OffsetCommit; the offsets are those of the name at
// that moment.
// Gaps: none known.

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// offsetFetchByID is the first version of OffsetFetch with topic ids.
const offsetFetchByID = 10

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
		if g := &q.Groups[i]; g.Topics != nil { // nil requests all of the group's offsets
			g.Topics, unknown[i] = splitKnownTopics(g.Topics, names, id)
		}
	}
	resp := s.cfg.Groups.FetchOffsets(ctx, r.groupClient(), q)
	for i := range resp.Groups { // in the order of the request; truncated if the client disconnected
		s.fillTopicIDs(&resp.Groups[i], &q.Groups[i], unknown[i])
	}
	return resp
}

// fillTopicIDs sets the ids in one group's response, and appends the unknown
// topics.
func (s *Server) fillTopicIDs(rg *kmsg.OffsetFetchResponseGroup, g *kmsg.OffsetFetchRequestGroup, unknown []kmsg.OffsetFetchRequestGroupTopic) {
	if rg.ErrorCode != noError {
		return
	}
	if g.Topics == nil {
		s.cfg.Replica.View(func(st *metadata.State) {
			rg.Topics = slices.DeleteFunc(rg.Topics, func(t kmsg.OffsetFetchResponseGroupTopic) bool {
				_, there := st.TopicNamed(t.Topic)
				return !there // deleted meanwhile, with its offsets
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

func (s *Server) estimateOffsetFetch(q kmsg.Request) (sum int64) {
	r := q.(*kmsg.OffsetFetchRequest)
	every := func(group string) {
		s.cfg.Replica.View(func(st *metadata.State) {
			v, _ := st.Group(group)
			sum += int64(v.Offsets.Len()) * offsetResponseBytes
		})
	}
	if r.Version < 8 && r.Topics == nil {
		every(r.Group)
	}
	for i := range r.Topics {
		sum += topicResponseBytes + int64(len(r.Topics[i].Partitions))*offsetResponseBytes
	}
	for i := range r.Groups {
		sum += listedResponseBytes
		if r.Groups[i].Topics == nil {
			every(r.Groups[i].Group)
		}
		for _, t := range r.Groups[i].Topics {
			sum += topicResponseBytes + int64(len(t.Partitions))*offsetResponseBytes
		}
	}
	return sum
}
