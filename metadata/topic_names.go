package metadata

import "strings"

// topicNames finds topics by name, and names that are equal in the names of
// Kafka's metrics, where '.' and '_' are the same letter. It is derived from the
// topics.
type topicNames struct {
	ids    map[string]TopicID
	folded map[string][]string // of names that have either letter
}

func newTopicNames() topicNames {
	return topicNames{ids: map[string]TopicID{}, folded: map[string][]string{}}
}

// foldName returns a name as it is in metrics; false where that is the name
// itself.
func foldName(name string) (string, bool) {
	if !strings.ContainsAny(name, "._") {
		return "", false
	}
	return strings.ReplaceAll(name, ".", "_"), true
}

func (n *topicNames) add(name string, id TopicID) {
	n.ids[name] = id
	if f, ok := foldName(name); ok {
		n.folded[f] = append(n.folded[f], name)
	}
}

func (n *topicNames) remove(name string) {
	delete(n.ids, name)
	f, ok := foldName(name)
	if !ok {
		return
	}
	var left []string
	for _, other := range n.folded[f] {
		if other != name {
			left = append(left, other)
		}
	}
	if n.folded[f] = left; len(left) == 0 {
		delete(n.folded, f)
	}
}

// CollidingTopic returns a topic whose name differs from the given one only in
// '.' and '_'.
func (s *State) CollidingTopic(name string) (other string, ok bool) {
	f, ok := foldName(name)
	if !ok {
		return "", false
	}
	for _, other := range s.names.folded[f] {
		if other != name {
			return other, true
		}
	}
	return "", false
}
