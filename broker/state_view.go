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
	partitions []metadata.PartitionView // by partition
}

// lookupTopic reads a topic by name, or by id where that is not zero.
func lookupTopic(st *metadata.State, name string, id metadata.TopicID) (metadata.Topic, bool) {
	if !id.IsZero() {
		return st.Topic(id)
	}
	return st.TopicNamed(name)
}

// viewChunkSize is how many things are looked up in one View: apply waits no longer
// than for one of them.
const viewChunkSize = 500

// viewEach looks 0 to n-1 up in the state, letting apply go on between chunks:
// what is seen may change from one to the next. It ends early with the client.
func (s *Server) viewEach(ctx context.Context, n int, look func(st *metadata.State, i int)) {
	for i := 0; i < n && ctx.Err() == nil; {
		s.cfg.Replica.View(func(st *metadata.State) {
			for end := min(i+viewChunkSize, n); i < end; i++ {
				look(st, i)
			}
		})
	}
}

// listTopics returns all topics, sorted by name.
func (s *Server) listTopics() (all []metadata.Topic) {
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

func readTopicView(st *metadata.State, t metadata.Topic) topicView {
	v := topicView{Topic: t, partitions: make([]metadata.PartitionView, t.Partitions)}
	for i := range v.partitions {
		v.partitions[i], _ = st.Partition(metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(i)})
	}
	return v
}

// idSource makes topic ids and fetch session ids from the given randomness.
type idSource struct {
	mu     sync.Mutex
	random *rand.Rand
}

func newIDSource(r *rand.Rand) *idSource { return &idSource{random: r} }

// newTopicID returns a random UUID of version 4.
func (s *idSource) newTopicID() metadata.TopicID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var id metadata.TopicID
	for i := range id {
		id[i] = byte(s.random.Uint32())
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// newSessionID returns a fetch session id, never 0.
func (s *idSource) newSessionID() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Int32N(1<<31-2) + 1
}
