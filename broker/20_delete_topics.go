package broker

// DeleteTopics, key 20, versions 1-6.
//
// Behaviour: by name, from version 6 also by id; all topics of a request are
// one entry. A topic is reported as unknown only after a read barrier. Deletion
// can be disabled by configuration.
// Gaps: no quotas.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleDeleteTopics(ctx context.Context, r *request, q *kmsg.DeleteTopicsRequest) *kmsg.DeleteTopicsResponse {
	resp := kmsg.NewPtrDeleteTopicsResponse()
	want := q.Topics
	if q.Version < 6 {
		want = make([]kmsg.DeleteTopicsRequestTopic, len(q.TopicNames))
		for i := range q.TopicNames {
			want[i].Topic = &q.TopicNames[i]
		}
	}
	barred := s.barrier(ctx)
	var cmds []metadata.Command
	var at []int
	times, done := s.countTopicMentions(ctx, want), map[topicRef]bool{}
	for i := range want {
		if ctx.Err() != nil {
			return resp
		}
		ref := topicRefOf(&want[i])
		if done[ref] {
			continue // one response for a duplicate
		}
		done[ref] = true
		t, code := s.resolveDeletion(&want[i], barred)
		if s.cfg.KeepTopics {
			code = kerr.TopicDeletionDisabled.Code
			if q.Version < 3 {
				code = kerr.InvalidRequest.Code // Kafka's code before it had TOPIC_DELETION_DISABLED
			}
		}
		rt := kmsg.NewDeleteTopicsResponseTopic()
		rt.Topic, rt.TopicID = want[i].Topic, want[i].TopicID
		switch both := (topicRef{id: t.ID}); {
		case times[ref] > 1:
			code = kerr.InvalidRequest.Code
		case code == noError && times[both] > 1: // by name and by id: one response
			if ref != both && done[both] {
				continue
			}
			done[both], code = true, kerr.InvalidRequest.Code
			name := t.Name
			rt.Topic, rt.TopicID = &name, t.ID
		}
		if rt.ErrorCode, rt.ErrorMessage = code, nullableText(deletionErrorMessage(code)); code == noError {
			name := t.Name
			rt.Topic, rt.TopicID = &name, t.ID
			cmds, at = append(cmds, metadata.DeleteTopic{ID: t.ID}), append(at, len(resp.Topics))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if len(cmds) == 0 {
		return resp
	}
	out, err := s.submit(ctx, cmds)
	for k, i := range at {
		code, text := r.commandError(out, err, k)
		resp.Topics[i].ErrorCode, resp.Topics[i].ErrorMessage = code, nullableText(text)
	}
	return resp
}

// deletionErrorMessage returns why a topic was not deleted.
func deletionErrorMessage(code int16) string {
	switch code {
	case noError:
		return ""
	case kerr.TopicDeletionDisabled.Code:
		return "this broker does not delete topics"
	case kerr.InvalidRequest.Code:
		return "the request names the topic more than once, or by neither name nor id, or by both"
	case kerr.UnknownTopicOrPartition.Code:
		return "the topic does not exist"
	case kerr.UnknownTopicID.Code:
		return "no topic has this id"
	}
	return "the state could not be read in time"
}

// topicRef is a topic in a request: a name or an id.
type topicRef struct {
	name string
	id   metadata.TopicID
}

func topicRefOf(w *kmsg.DeleteTopicsRequestTopic) topicRef {
	r := topicRef{id: w.TopicID}
	if w.Topic != nil {
		r.name = *w.Topic
	}
	return r
}

// countTopicMentions counts how often the request has each topic, by its
// reference and, if known, by its id: Kafka refuses duplicates.
func (s *Server) countTopicMentions(ctx context.Context, want []kmsg.DeleteTopicsRequestTopic) map[topicRef]int {
	times := map[topicRef]int{}
	s.viewEach(ctx, len(want), func(st *metadata.State, i int) {
		ref := topicRefOf(&want[i])
		times[ref]++
		if ref.name == "" || !ref.id.IsZero() {
			return // the id counts already
		}
		if t, ok := st.TopicNamed(ref.name); ok {
			times[topicRef{id: t.ID}]++
		}
	})
	return times
}

func (s *Server) resolveDeletion(w *kmsg.DeleteTopicsRequestTopic, barred error) (t metadata.Topic, code int16) {
	name, id := "", metadata.TopicID(w.TopicID)
	if w.Topic != nil {
		name = *w.Topic
	}
	if (w.Topic == nil) == id.IsZero() {
		return t, kerr.InvalidRequest.Code // neither, or both
	}
	ok := false
	s.cfg.Replica.View(func(st *metadata.State) { t, ok = lookupTopic(st, name, id) })
	switch {
	case ok:
		return t, noError
	case barred != nil:
		return t, kerr.RequestTimedOut.Code
	case w.Topic == nil:
		return t, kerr.UnknownTopicID.Code
	}
	return t, kerr.UnknownTopicOrPartition.Code
}
