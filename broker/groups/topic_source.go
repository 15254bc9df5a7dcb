package groups

import (
	"slices"
	"strconv"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// coordinatorTopics is a coordinator as a topicSource.
type coordinatorTopics Coordinator

// topicNames is the list of all topics at a revision, shared by all groups.
type topicNames struct {
	revision metadata.Revision
	names    []string
	bytes    int
}

func (v *coordinatorTopics) readRevision() (at metadata.Revision) {
	v.cfg.Replica.View(func(s *metadata.State) { at = s.TopicsChanged() })
	return at
}

func (v *coordinatorTopics) findTopics(names []string) map[string]assignTopic {
	found := make(map[string]assignTopic, len(names))
	v.cfg.Replica.View(func(s *metadata.State) {
		for _, name := range names {
			if t, ok := s.TopicNamed(name); ok {
				found[name] = assignTopic{t.ID, t.Partitions}
			}
		}
	})
	return found
}

func (v *coordinatorTopics) listTopicNames() (names []string, bytes int) {
	kept := v.topicNames.Load()
	var next *topicNames
	v.cfg.Replica.View(func(s *metadata.State) {
		if at := s.TopicsChanged(); kept == nil || at != kept.revision {
			next = &topicNames{revision: at, names: s.TopicNames()}
		}
	})
	if next == nil {
		return kept.names, kept.bytes
	}
	slices.Sort(next.names)
	for _, n := range next.names {
		next.bytes += len(n) + 1
	}
	v.topicNames.Store(next)
	return next.names, next.bytes
}

// Group configs of the consumer protocol.
const (
	configSession   = "consumer.session.timeout.ms"
	configHeartbeat = "consumer.heartbeat.interval.ms"
)

// readMemberTimeouts returns a group's timeouts: its own configs, else the
// broker's.
func (c *Coordinator) readMemberTimeouts(group string) memberTimeouts {
	t := memberTimeouts{c.cfg.ConsumerSessionTimeout, c.cfg.ConsumerHeartbeatInterval}
	c.cfg.Replica.View(func(s *metadata.State) {
		set := s.Configs(metadata.ResourceGroup, group)
		if ms, err := strconv.Atoi(set[configSession]); err == nil && ms > 0 {
			t.session = time.Duration(ms) * time.Millisecond
		}
		if ms, err := strconv.Atoi(set[configHeartbeat]); err == nil && ms > 0 {
			t.heartbeat = time.Duration(ms) * time.Millisecond
		}
	})
	return t
}
