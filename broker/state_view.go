package broker

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// topicView is a topic as handlers read it from one view of the state.
type topicView struct {
	metadata.Topic
	partitions []metadata.PartitionView // by partition
}

// lookupTopic finds a topic by name, or by id if that is not zero.
func lookupTopic(st *metadata.State, name string, id metadata.TopicID) (metadata.Topic, bool) {
	if !id.IsZero() {
		return st.Topic(id)
	}
	return st.TopicNamed(name)
}

// viewChunkSize is how many items are read in one View, which bounds how long
// apply waits.
const viewChunkSize = 500

// viewEach calls f for 0 to n-1 with the state, and lets apply run between
// chunks: the state may change from one to the next. It stops when the client
// disconnects.
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

// topicName is a topic's name for the log; the id of a deleted one.
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

// idSource generates topic ids and fetch session ids.
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
