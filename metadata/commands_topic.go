package metadata

import "maps"

// CreateTopic creates a topic. Outcome codes: CodeTopicExists,
// CodeInvalidRequest, CodeInvalidPartition, CodeInvalidConfig, CodeLimit.
type CreateTopic struct {
	ID                TopicID
	Name              string
	Partitions        int32
	ReplicationFactor int16
	Configs           map[string]string // only what was set
}

// Kind implements Command.
func (CreateTopic) Kind() CommandKind { return 8 }

func (c CreateTopic) encode(w *writer) {
	w.raw(c.ID[:])
	w.text(c.Name)
	w.uvarint(uint64(uint32(c.Partitions)))
	w.u16(uint16(c.ReplicationFactor))
	w.writeTextMap(c.Configs)
}

func decodeCreateTopic(r *reader) Command {
	return CreateTopic{r.readTopicID(), r.Text(), int32(r.UvarintUpTo(1<<31-1, "partitions")), int16(r.Uint16()), r.readTextMap()}
}

func (c CreateTopic) apply(s *State, _ *Entry) CommandOutcome {
	s.topicsRevision = s.revision // also where the command is refused
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
	for i := range Partition(c.Partitions) {
		if s.partitions.has(TopicPartition{c.ID, i}) {
			return refuse(CodeTopicExists, "topic id %s was used before", c.ID)
		}
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
	case s.livePartitions()+int(want-have) > s.limits.Partitions:
		return refuse(CodeLimit, "the cluster would have %d partitions, at most %d", s.livePartitions()+int(want-have), s.limits.Partitions)
	}
	return CommandOutcome{}
}

// livePartitions is how many partitions there are, those of deleted topics not
// counted.
func (s *State) livePartitions() int { return s.partitions.count - s.deletedPartitions }

func (s *State) addPartitions(id TopicID, from, to int32) {
	for i := from; i < to; i++ {
		s.partitions.put(TopicPartition{id, Partition(i)}, partitionState{created: s.revision, epochFrom: s.epochs.changes})
	}
}

// CreatePartitions raises a topic's partition count.
type CreatePartitions struct {
	ID    TopicID
	Count int32
}

// Kind implements Command.
func (CreatePartitions) Kind() CommandKind { return 10 }

func (c CreatePartitions) encode(w *writer) {
	w.raw(c.ID[:])
	w.uvarint(uint64(uint32(c.Count)))
}

func decodeCreatePartitions(r *reader) Command {
	return CreatePartitions{r.readTopicID(), int32(r.UvarintUpTo(1<<31-1, "partitions"))}
}

func (c CreatePartitions) apply(s *State, _ *Entry) CommandOutcome {
	s.topicsRevision = s.revision // also where the command is refused
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

// DeleteTopic deletes a topic. Its records, and the offsets committed on it, are
// released later.
type DeleteTopic struct{ ID TopicID }

// Kind implements Command.
func (DeleteTopic) Kind() CommandKind { return 9 }

func (c DeleteTopic) encode(w *writer) { w.raw(c.ID[:]) }

func decodeDeleteTopic(r *reader) Command { return DeleteTopic{r.readTopicID()} }

func (c DeleteTopic) apply(s *State, _ *Entry) CommandOutcome {
	s.topicsRevision = s.revision // also where the command is refused
	t := s.topics.get(c.ID)
	if t == nil {
		return CommandOutcome{Code: CodeUnknownTopic}
	}
	s.releases.push(releaseState{topic: c.ID, partitions: t.Partitions})
	s.deletedPartitions += int(t.Partitions)
	s.retention.dropTopic(c.ID)
	s.names.remove(t.Name)
	s.rememberDeletedTopic(c.ID, t.Name)
	s.topics.drop(c.ID)
	s.releaseQueued(trimItems)
	return CommandOutcome{}
}

// TrimPartition raises a partition's log start (DeleteRecords). Outcome.Value
// is the log start afterwards.
type TrimPartition struct {
	Topic     TopicID
	Partition Partition
	LogStart  Offset // -1: the high watermark
}

// Kind implements Command.
func (TrimPartition) Kind() CommandKind { return 12 }

func (c TrimPartition) encode(w *writer) {
	w.raw(c.Topic[:])
	w.uvarint(uint64(uint32(c.Partition)))
	w.u64(uint64(c.LogStart))
}

func decodeTrimPartition(r *reader) Command {
	return TrimPartition{r.readTopicID(), Partition(r.UvarintUpTo(1<<31-1, "partition")), Offset(r.Uint64())}
}

func (c TrimPartition) apply(s *State, _ *Entry) CommandOutcome {
	tp := TopicPartition{c.Topic, c.Partition}
	p := s.partition(tp)
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
