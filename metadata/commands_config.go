package metadata

import (
	"maps"
	"strconv"
)

// ResourceKind is the kind of resource whose configs SetConfigs changes. The
// numbers are Kafka's.
type ResourceKind uint8

// The resources with configs.
const (
	ResourceFeatures ResourceKind = 1 // of the cluster; its only name is empty
	ResourceTopic    ResourceKind = 2
	ResourceBroker   ResourceKind = 4
	ResourceGroup    ResourceKind = 32
	ResourceMetrics  ResourceKind = 16
)

// SetConfigs sets and deletes configs of one resource. Its name is a topic's id
// in hexadecimal, a group's name, a broker id, or empty for all brokers.
type SetConfigs struct {
	Resource ResourceKind
	Name     string
	Set      map[string]string
	Delete   []string
}

// Kind implements Command.
func (SetConfigs) Kind() CommandKind { return 11 }

func (c SetConfigs) encode(w *writer) {
	w.u8(uint8(c.Resource))
	w.text(c.Name)
	w.writeTextMap(c.Set)
	w.writeTextList(c.Delete)
}

func decodeSetConfigs(r *reader) Command {
	return SetConfigs{ResourceKind(r.Uint8()), r.Text(), r.readTextMap(), r.readTextList()}
}

func (c SetConfigs) apply(s *State, _ *Entry) CommandOutcome {
	if c.Resource == ResourceTopic {
		id, err := ParseTopicID(c.Name)
		if err != nil || !s.topics.has(id) {
			return CommandOutcome{Code: CodeUnknownTopic}
		}
		return s.setTopicConfigs(id, c)
	}
	switch c.Resource {
	case ResourceBroker, ResourceGroup, ResourceMetrics, ResourceFeatures:
	default:
		return refuse(CodeInvalidRequest, "resource %d has no configs", c.Resource)
	}
	k := resourceName{c.Resource, c.Name}
	next := maps.Clone(s.Configs(c.Resource, c.Name))
	next, out := mergeConfigs(next, c)
	if out.Code != CodeOK {
		return out
	}
	s.retention.version++
	if c.Resource == ResourceFeatures {
		next[featuresEpochKey] = strconv.FormatInt(int64(s.revision), 10)
	}
	if len(next) == 0 {
		s.configs.drop(k)
	} else {
		s.configs.put(k, next)
	}
	return CommandOutcome{}
}

func (s *State) setTopicConfigs(id TopicID, c SetConfigs) CommandOutcome {
	s.retention.version++
	next, out := mergeConfigs(maps.Clone(s.topics.get(id).Configs), c)
	if out.Code == CodeOK {
		s.topics.edit(id, func(t *Topic) { t.Configs = next })
	}
	return out
}

func mergeConfigs(next map[string]string, c SetConfigs) (map[string]string, CommandOutcome) {
	if next == nil {
		next = map[string]string{}
	}
	for _, k := range c.Delete {
		delete(next, k)
	}
	maps.Copy(next, c.Set)
	if len(next) > MaxConfigs {
		return nil, refuse(CodeInvalidConfig, "%d configs, at most %d", len(next), MaxConfigs)
	}
	return next, CommandOutcome{}
}
