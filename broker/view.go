package broker

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// topicView is what the handlers read of a topic in one look at the state.
type topicView struct {
	metadata.Topic
	heads []metadata.PartitionView // by partition
}

// lookTopic reads a topic by name, or by id where that is not zero.
func lookTopic(st *metadata.State, name string, id metadata.TopicID) (metadata.Topic, bool) {
	if !id.IsZero() {
		return st.Topic(id)
	}
	return st.TopicNamed(name)
}

// viewChunk is how many things are looked up in one View: apply waits no longer
// than for one of them.
const viewChunk = 500

// viewEach looks 0 to n-1 up in the state, letting apply go on between chunks:
// what is seen may change from one to the next. It ends early with the client.
func (s *Server) viewEach(ctx context.Context, n int, look func(st *metadata.State, i int)) {
	for i := 0; i < n && ctx.Err() == nil; {
		s.cfg.Replica.View(func(st *metadata.State) {
			for end := min(i+viewChunk, n); i < end; i++ {
				look(st, i)
			}
		})
	}
}

// allTopics returns all topics, sorted by name.
func (s *Server) allTopics() (all []metadata.Topic) {
	s.cfg.Replica.View(func(st *metadata.State) { all = st.UnsortedTopics() })
	slices.SortFunc(all, func(a, b metadata.Topic) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// topicName names a topic in the log; one that is gone by its id.
func (s *Server) topicName(id metadata.TopicID) string {
	name := "id " + id.String()
	s.cfg.Replica.View(func(st *metadata.State) {
		if t, ok := st.Topic(id); ok {
			name = t.Name
		}
	})
	return name
}

func lookHeads(st *metadata.State, t metadata.Topic) topicView {
	v := topicView{Topic: t, heads: make([]metadata.PartitionView, t.Partitions)}
	for i := range v.heads {
		v.heads[i], _ = st.Partition(metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(i)})
	}
	return v
}

// idSource makes topic ids and fetch session ids from the given randomness.
type idSource struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

func newIDSource(r *rand.Rand) *idSource { return &idSource{rnd: r} }

// topicID returns a random UUID of version 4.
func (s *idSource) topicID() metadata.TopicID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var id metadata.TopicID
	for i := range id {
		id[i] = byte(s.rnd.Uint32())
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// session returns a fetch session id, never 0.
func (s *idSource) session() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rnd.Int32N(1<<31-2) + 1
}
