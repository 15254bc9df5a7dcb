package broker

// Topic ids in OffsetCommit, OffsetFetch and TxnOffsetCommit (KIP-1319). Package
// groups works with topic names: ids become names before it handles a request,
// and names become ids in its response.

import (
	"context"

	"github.com/zonewise/zonewise/metadata"
)

// listTopicIDs returns the ids of a request's topics; id returns a pointer to a
// topic's name, and its id.
func listTopicIDs[T any](topics []T, id func(*T) (*string, [16]byte)) []metadata.TopicID {
	out := make([]metadata.TopicID, len(topics))
	for i := range topics {
		_, out[i] = id(&topics[i])
	}
	return out
}

// splitKnownTopics sets the names of a request's known topics, and splits off
// the unknown ones. known is never nil.
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

// lookupTopicNames maps ids to names; unknown ids are left out.
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
