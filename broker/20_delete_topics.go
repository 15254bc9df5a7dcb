package broker

// DeleteTopics, key 20, versions 1-6.
//
// Behaviour: by name, from version 6 on also by id; all topics of a request
// are one entry. Unknown ones are unknown behind a read barrier.
// Gaps: no quotas.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) deleteTopics(ctx context.Context, _ *request, q *kmsg.DeleteTopicsRequest) *kmsg.DeleteTopicsResponse {
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
	for i := range want {
		t, code := s.deletion(&want[i], barred)
		rt := kmsg.NewDeleteTopicsResponseTopic()
		rt.Topic, rt.TopicID, rt.ErrorCode = want[i].Topic, want[i].TopicID, code
		if code == errNone {
			name := t.Name
			rt.Topic, rt.TopicID = &name, t.ID
			cmds, at = append(cmds, metadata.DeleteTopic{ID: t.ID}), append(at, i)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if len(cmds) == 0 {
		return resp
	}
	out, err := s.submit(ctx, cmds)
	for k, i := range at {
		code, text := commandError(out, err, k)
		resp.Topics[i].ErrorCode, resp.Topics[i].ErrorMessage = code, textOf(text)
	}
	return resp
}

func (s *Server) deletion(w *kmsg.DeleteTopicsRequestTopic, barred error) (t metadata.Topic, code int16) {
	name, id := "", metadata.TopicID(w.TopicID)
	if w.Topic != nil {
		name = *w.Topic
	}
	if (w.Topic == nil) == id.IsZero() {
		return t, errInvalidRequest // neither, or both
	}
	ok := false
	s.cfg.Replica.View(func(st *metadata.State) { t, ok = lookTopic(st, name, id) })
	switch {
	case ok:
		return t, errNone
	case barred != nil:
		return t, errTimedOut
	case w.Topic == nil:
		return t, errUnknownTopicID
	}
	return t, errUnknownTopic
}
