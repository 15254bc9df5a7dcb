package metadata

import (
	"iter"
	"slices"
)

// The read methods of a state, for Replica.View or a snapshot.

// Revision returns the revision of the newest applied entry.
func (s *State) Revision() Revision { return s.revision }

// Extent returns the extent of the newest applied entry.
func (s *State) Extent() Extent { return s.extent }

// Time returns state time. It moves by ticks only, and may be behind the clock by
// a tick's interval. 0 before the first tick.
func (s *State) Time() UnixMilli { return s.time }

// Level returns the feature level.
func (s *State) Level() FeatureLevel { return s.level }

// Pressure returns how full the log's store is.
func (s *State) Pressure() PressureLevel { return s.pressure }

// Entries returns how many entries were applied since the cluster's creation.
func (s *State) Entries() uint64 { return s.entries }

// Alarms returns how many entries were refused as invalid, and the text of the
// last one.
func (s *State) Alarms() (uint64, string) { return s.alarms, s.lastAlarm }

// TopicNamed returns the topic of a name.
func (s *State) TopicNamed(name string) (Topic, bool) {
	id, ok := s.names.ids[name]
	if !ok {
		return Topic{}, false
	}
	return s.Topic(id)
}

// Topic returns the topic of an id.
func (s *State) Topic(id TopicID) (Topic, bool) {
	if t := s.topics.get(id); t != nil {
		return *t, true
	}
	return Topic{}, false
}

// UnsortedTopics returns all topics, in no particular order.
func (s *State) UnsortedTopics() []Topic {
	out := make([]Topic, 0, s.topics.count)
	s.topics.each(func(_ TopicID, t *Topic) bool { out = append(out, *t); return true })
	return out
}

// Topics returns all topics, sorted by name.
func (s *State) Topics() []Topic {
	out := s.UnsortedTopics()
	slices.SortFunc(out, func(a, b Topic) int { return compareStrings(a.Name, b.Name) })
	return out
}

// UsesLogAppendTime reports whether the records of a topic have the time at which
// they were appended (message.timestamp.type, or the brokers' default for it).
func (s *State) UsesLogAppendTime(id TopicID) bool {
	t := s.topics.get(id)
	if t == nil {
		return false
	}
	v, set := t.Configs["message.timestamp.type"]
	if !set {
		v = s.Configs(ResourceBroker, "")["log.message.timestamp.type"]
	}
	return v == "LogAppendTime"
}

// TopicsChanged returns a revision at or after the last change of topics or their
// numbers of partitions: what was derived from them at that revision or later is
// still valid.
func (s *State) TopicsChanged() Revision { return s.topicsRevision }

// TopicNames returns the names of all topics, in no particular order.
func (s *State) TopicNames() []string {
	out := make([]string, 0, len(s.names.ids))
	for name := range s.names.ids {
		out = append(out, name)
	}
	return out
}

// Configs returns what was set for a resource (by broker id in decimal, or ""
// for all brokers; by group name). Topics carry theirs in Topic.Configs.
func (s *State) Configs(kind ResourceKind, name string) map[string]string {
	if c := s.configs.get(resourceName{kind, name}); c != nil {
		return *c
	}
	return nil
}

// Configured returns the names of the resources of a kind for which configs
// are set, sorted. Topics are not among them.
func (s *State) Configured(kind ResourceKind) []string {
	var out []string
	s.configs.each(func(r resourceName, _ *configMap) bool {
		if r.kind == kind {
			out = append(out, r.name)
		}
		return true
	})
	slices.Sort(out)
	return out
}

// PartitionView is a partition's head.
type PartitionView struct {
	LogStart Offset
	Next     Offset // the high watermark: the next offset to be assigned
	Stable   Offset // the last stable offset
	Epoch    LeaderEpoch
	Created  Revision
	Bytes    int64 // live
	Spans    int
}

// Partition returns a partition's head; false where it does not exist.
func (s *State) Partition(tp TopicPartition) (PartitionView, bool) {
	p := s.partition(tp)
	if p == nil {
		return PartitionView{}, false
	}
	return PartitionView{LogStart: p.logStart, Next: p.next, Stable: p.lastStableOffset(), Epoch: s.leaderEpoch(tp, p),
		Created: p.created, Bytes: p.live, Spans: len(p.spans)}, true
}

// Records returns how many offsets of a partition hold records. It visits every
// span: for a snapshot, not for a View.
func (s *State) Records(tp TopicPartition) (n uint64) {
	p := s.partition(tp)
	if p == nil {
		return 0
	}
	for i := range p.spans {
		sp := &p.spans[i]
		if sp.Marker() {
			continue
		}
		n += uint64(max(sp.End()-max(sp.First, p.logStart), 0)) // it may wait to be released
	}
	return n
}

// Spans appends to out the spans that hold offsets from from on, at most max
// of them, oldest first. They stay valid after the view ends.
func (s *State) Spans(out []Span, tp TopicPartition, from Offset, max int) []Span {
	p := s.partition(tp)
	if p == nil {
		return out
	}
	i, _ := slices.BinarySearchFunc(p.spans, from, func(sp Span, o Offset) int {
		if sp.End() <= o {
			return -1
		}
		return 1
	})
	for ; i < len(p.spans) && max > 0; i, max = i+1, max-1 {
		out = append(out, p.spans[i])
	}
	return out
}

// HasSpan reports whether a partition has anything to read, a batch of records or
// a marker, at an offset from from on and below below.
func (s *State) HasSpan(tp TopicPartition, from, below Offset) bool {
	var one [1]Span
	for _, sp := range s.Spans(one[:0], tp, from, 1) {
		return sp.First < below
	}
	return false
}

// SkipRecoveryGap returns the offset after a recovery's gap for an offset in it,
// and any other as it is. Both mean the same to a reader, since no offset of the
// gap was ever assigned. Committed offsets are reported to tools this way:
// otherwise they would show as many records of lag as the gap has offsets.
func (s *State) SkipRecoveryGap(tp TopicPartition, at Offset) Offset {
	p := s.partition(tp)
	if p == nil || at < p.logStart {
		return at
	}
	var one [1]Span
	for {
		spans := s.Spans(one[:0], tp, at, 1)
		if len(spans) == 0 || spans[0].Object != MarkerRecovery {
			return at
		}
		at = spans[0].End()
	}
}

// Object returns the object with a span's bytes; false where it is gone, or the
// span is inline.
func (s *State) Object(sp Span) (name ObjectName, size int64, ok bool) {
	if sp.Inline() || sp.Marker() {
		return ObjectName{}, 0, false
	}
	o := s.objects.get(objectKey{sp.Revision, sp.Object})
	if o == nil {
		return ObjectName{}, 0, false
	}
	return o.name, o.size, true
}

// GroupView is what the state has of a group.
type GroupView struct {
	Group      *Group         // of the classic protocol, or nil. Do not change it.
	Consumer   *ConsumerGroup // of the consumer protocol, or nil. Do not change it.
	EmptySince UnixMilli      // state time when its last member left; 0: it has members, or never had
	Offsets    GroupOffsets
}

// GroupOffsets are the committed offsets of a group. The zero value has none.
type GroupOffsets struct {
	m cowMap[TopicPartition, OffsetCommit]
}

// Len returns how many offsets there are.
func (g *GroupOffsets) Len() int { return g.m.len() }

// Get returns the offset of a partition; false where there is none.
func (g *GroupOffsets) Get(tp TopicPartition) (OffsetCommit, bool) {
	if o := g.m.get(tp); o != nil {
		return *o, true
	}
	return OffsetCommit{}, false
}

// All iterates over the offsets, in no particular order.
func (g *GroupOffsets) All() iter.Seq2[TopicPartition, *OffsetCommit] { return g.m.all() }

// Group returns a group; false where it does not exist. Do not change what it
// refers to, and do not keep Offsets beyond the view.
func (s *State) Group(name string) (GroupView, bool) {
	g := s.groups.get(name)
	if g == nil {
		return GroupView{}, false
	}
	return GroupView{g.group, g.consumer, g.emptySince, GroupOffsets{g.offsets}}, true
}

// HasGroup reports whether a group exists.
func (s *State) HasGroup(name string) bool { return s.groups.has(name) }

// Groups returns the names of all groups, sorted.
func (s *State) Groups() []string {
	out := make([]string, 0, s.groups.count)
	s.groups.each(func(name string, _ *groupState) bool { out = append(out, name); return true })
	slices.Sort(out)
	return out
}

// RoleEpoch returns the newest claimed epoch of a group slot's role.
func (s *State) RoleEpoch(role string) RoleEpoch { return s.roles[role].epoch }

// SessionView is an open session.
type SessionView struct {
	ID       SessionID
	Broker   BrokerID
	Draining bool
	Open     OpenSession
}

// Session returns an open session.
func (s *State) Session(id SessionID) (SessionView, bool) {
	if o := s.sessions[id]; o != nil {
		return SessionView{o.id, o.broker, o.draining, o.open}, true
	}
	return SessionView{}, false
}

// Sessions returns the open sessions, sorted by broker id.
func (s *State) Sessions() []SessionView {
	out := make([]SessionView, 0, len(s.sessions))
	for _, o := range s.sessions {
		out = append(out, SessionView{o.id, o.broker, o.draining, o.open})
	}
	slices.SortFunc(out, func(a, b SessionView) int { return int(a.Broker) - int(b.Broker) })
	return out
}

// ClusterID returns the cluster's id; zero before its first session.
func (s *State) ClusterID() ClusterID { return s.cluster }

// Zones returns the cluster's zones in the order in which they appeared; a
// zone's place k gives its listener's port (P + 1 + k). Do not change it.
func (s *State) Zones() []ZoneID { return s.zones }

// LaneSeq returns the seq of the last applied entry of a session's lane.
func (s *State) LaneSeq(id SessionID, lane Lane) LaneSeq {
	if o := s.sessions[id]; o != nil && lane < LaneCount {
		return o.lanes[lane]
	}
	return 0
}

func sortTopicIDs(ids []TopicID) []TopicID {
	slices.SortFunc(ids, func(a, b TopicID) int { return compareStrings(string(a[:]), string(b[:])) })
	return ids
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
