package groups

import (
	"context"
	"sync"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// behind is a replica that has not applied a topic that is in the log already:
// a barrier brings it there.
type behind struct {
	Replica
	once    *sync.Once
	catchUp func()
}

func (b behind) Barrier(ctx context.Context) error {
	b.once.Do(b.catchUp)
	return b.Replica.Barrier(ctx)
}

// A topic made at another broker just before a member subscribes is among what
// the member gets first, by expression and by name. Without a barrier the
// expression was matched again 10 seconds later, at the next heartbeat.
func TestAMemberThatSubscribesSeesTopicsMadeElsewhere(t *testing.T) {
	expr := "topic.*"
	for name, member := range map[string]func(*modern){
		"expression": func(m *modern) { m.names, m.regex = nil, &expr },
		"names":      func(m *modern) { m.names = []string{"topic1"} },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				n := w.single()
				defer n.stop()
				n.coord.cfg.Replica = behind{n.replica, &sync.Once{}, func() {
					n.submit(metadata.CreateTopic{ID: metadata.TopicID{2}, Name: "topic1", Partitions: 2, ReplicationFactor: 1})
				}}
				m := n.modern("a")
				member(m)
				if code := m.sendHeartbeat(); code != noError {
					t.Fatalf("join: code %d", code)
				}
				if len(m.owned) != 1 || len(m.owned[0].Partitions) != 2 {
					t.Errorf("the first assignment is %+v, want both partitions of topic1", m.owned)
				}
			})
		})
	}
}
