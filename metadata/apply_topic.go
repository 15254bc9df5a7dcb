package metadata

import (
	"fmt"
	"maps"
	"strconv"
)

func refuse(code Code, format string, args ...any) CommandOutcome {
	return CommandOutcome{Code: code, Text: fmt.Sprintf(format, args...)}
}

func (s *State) applyCreateTopic(c CreateTopic) CommandOutcome {
	switch {
	case c.ID.IsZero() || c.Name == "" || len(c.Name) > 249:
		return refuse(CodeInvalidRequest, "topic id %s, name of %d bytes", c.ID, len(c.Name))
	case s.topics.has(c.ID):
		return refuse(CodeTopicExists, "topic id %s exists", c.ID)
	case len(c.Configs) > MaxConfigs:
		return refuse(CodeInvalidConfig, "%d configs, at most %d", len(c.Configs), MaxConfigs)
	case c.ReplicationFactor < 1:
		return refuse(CodeInvalidRequest, "replication factor %d", c.ReplicationFactor)
	}
	if _, taken := s.names.ids[c.Name]; taken {
		return refuse(CodeTopicExists, "topic %q exists", c.Name)
	}
	if out := s.checkPartitionCount(0, c.Partitions); out.Code != CodeOK {
		return out
	}
	if s.topics.count >= s.limits.Topics {
		return refuse(CodeLimit, "the cluster has %d topics, at most %d", s.topics.count, s.limits.Topics)
	}
	s.topics.put(c.ID, Topic{ID: c.ID, Name: c.Name, Partitions: c.Partitions, ReplicationFactor: c.ReplicationFactor,
		Created: s.revision, CreatedTime: s.time, Configs: maps.Clone(c.Configs)})
	s.names.add(c.Name, c.ID)
	s.addPartitions(c.ID, 0, c.Partitions)
	return CommandOutcome{}
}

func (s *State) checkPartitionCount(have, want int32) CommandOutcome {
	switch {
	case want <= have:
		return refuse(CodeInvalidPartition, "%d partitions where there are %d", want, have)
	case want > MaxPartitionsPerTopic:
		return refuse(CodeInvalidPartition, "%d partitions, at most %d in a topic", want, MaxPartitionsPerTopic)
	case s.partitions.count+int(want-have) > s.limits.Partitions:
		return refuse(CodeLimit, "the cluster would have %d partitions, at most %d", s.partitions.count+int(want-have), s.limits.Partitions)
	}
	return CommandOutcome{}
}

func (s *State) addPartitions(id TopicID, from, to int32) {
	for i := from; i < to; i++ {
		s.partitions.put(TopicPartition{id, Partition(i)}, partitionState{created: s.revision})
	}
}

func (s *State) applyCreatePartitions(c CreatePartitions) CommandOutcome {
	t := s.topics.get(c.ID)
	if t == nil {
		return CommandOutcome{Code: CodeUnknownTopic}
	}
	have := t.Partitions
	if out := s.checkPartitionCount(have, c.Count); out.Code != CodeOK {
		return out
	}
	s.topics.edit(c.ID, func(t *Topic) { t.Partitions = c.Count })
	s.addPartitions(c.ID, have, c.Count)
	return CommandOutcome{}
}

func (s *State) applyDeleteTopic(c DeleteTopic) CommandOutcome {
	t := s.topics.get(c.ID)
	if t == nil {
		return CommandOutcome{Code: CodeUnknownTopic}
	}
	for i := range t.Partitions {
		s.dropPartition(TopicPartition{c.ID, Partition(i)})
	}
	s.names.remove(t.Name)
	s.topics.drop(c.ID)
	delete(s.storedBytes, c.ID)
	s.dropTopicOffsets(c.ID)
	return CommandOutcome{}
}

func (s *State) dropPartition(tp TopicPartition) {
	p := s.partitions.mutable(tp)
	if p == nil {
		return
	}
	s.sum -= hashPartition(tp, *p)
	for i := range p.spans {
		s.releaseSpan(tp, p, &p.spans[i])
	}
	p.spans = nil
	for i := range p.aborted {
		s.sum -= hashAborted(tp, &p.aborted[i])
	}
	p.aborted = nil
	s.sum += hashPartition(tp, *p) // drop takes it out again
	var gone []producerKey
	s.producers.eachInPage(producerKey{tp: tp}, func(k producerKey, _ *producerState) {
		if k.tp == tp {
			gone = append(gone, k)
		}
	})
	for _, k := range gone {
		s.producers.drop(k)
	}
	s.partitions.drop(tp)
}

// dropTopicOffsets drops what groups committed on a deleted topic.
func (s *State) dropTopicOffsets(id TopicID) {
	touched := map[string][]TopicPartition{}
	s.groups.each(func(name string, g *groupState) bool {
		for tp := range g.offsets {
			if tp.Topic == id {
				touched[name] = append(touched[name], tp)
			}
		}
		return true
	})
	for name, list := range touched {
		s.dropOffsets(name, list)
	}
}

func (s *State) applySetConfigs(c SetConfigs) CommandOutcome {
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

func (s *State) applyTrimPartition(c TrimPartition) CommandOutcome {
	tp := TopicPartition{c.Topic, c.Partition}
	p := s.partitions.get(tp)
	if p == nil {
		return CommandOutcome{Code: CodeUnknownTopic}
	}
	to := c.LogStart
	if to == -1 {
		to = p.next
	}
	if to < 0 || to > p.next {
		return refuse(CodeOffsetOutOfRange, "log start %d with high watermark %d", to, p.next)
	}
	s.trimPartition(tp, to)
	return CommandOutcome{Value: int64(s.partitions.get(tp).logStart)}
}

// producerIDBlockInterval is how finely, in state time, the ages of producer ids are
// kept; two hundred eras cover the expiry.
const producerIDBlockInterval UnixMilli = 600_000

func (s *State) applyAllocateProducers(c AllocateProducers) CommandOutcome {
	if c.Count <= 0 {
		return refuse(CodeInvalidRequest, "%d producer ids", c.Count)
	}
	first := s.nextProducer
	s.nextProducer += ProducerID(c.Count)
	s.recordProducerIDBlock(first)
	return CommandOutcome{Value: int64(first)}
}

func (s *State) recordProducerIDBlock(first ProducerID) {
	n := len(s.producerIDBlocks)
	if n > 0 && s.time-s.producerIDBlocks[n-1].time < producerIDBlockInterval {
		return
	}
	keep, expiry := 0, s.configuredExpiry(ProducerExpiryConfig, ProducerExpiry)
	for keep < n-1 && s.time-s.producerIDBlocks[keep+1].time > expiry {
		keep++
	}
	s.producerIDBlocks = append(append([]producerIDBlock(nil), s.producerIDBlocks[keep:]...), producerIDBlock{first, s.time, s.revision})
}
