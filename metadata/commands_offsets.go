package metadata

import (
	"cmp"
	"slices"
)

// OffsetCommit is one committed offset of a group.
type OffsetCommit struct {
	Topic       TopicID
	Partition   Partition
	Offset      Offset
	LeaderEpoch LeaderEpoch
	Metadata    string
	Time        UnixMilli // the coordinator's clock, for display
}

// CommitOffsets stores offsets of a group under the epoch of the slot that
// coordinates it.
type CommitOffsets struct {
	Group   string
	Epoch   RoleEpoch
	Offsets []OffsetCommit
}

// Kind implements Command.
func (CommitOffsets) Kind() CommandKind { return 14 }

func (c CommitOffsets) encode(w *writer) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.writeOffsets(c.Offsets)
}

func decodeCommitOffsets(r *reader) Command {
	return CommitOffsets{r.Text(), RoleEpoch(r.Uint64()), r.readOffsets()}
}

func (c CommitOffsets) apply(s *State, _ *Entry) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group, c.Epoch); stale {
		return out
	}
	for i := range c.Offsets {
		if !s.hasPartition(TopicPartition{c.Offsets[i].Topic, c.Offsets[i].Partition}) {
			return CommandOutcome{Code: CodeUnknownTopic, Value: int64(i)}
		}
	}
	if s.offsets+s.countNewOffsets(c) > s.limits.GroupOffsets || s.groups.count >= s.limits.Groups && !s.groups.has(c.Group) {
		return refuse(CodeLimit, "%d groups with %d offsets", s.groups.count, s.offsets)
	}
	for _, o := range c.Offsets {
		s.storeOffset(c.Group, o)
		s.supersedePendingOffsets(c.Group, o)
	}
	return CommandOutcome{}
}

// supersedePendingOffsets replaces the offset of the same partition in
// transactions under way: the later offset of a group counts, also where the
// transaction of the earlier one commits afterwards.
func (s *State) supersedePendingOffsets(group string, o OffsetCommit) {
	if s.pendingOffsets == 0 {
		return
	}
	for id := range s.ongoingTxns {
		if at, found := s.txns.get(id).findOffset(group, TopicPartition{o.Topic, o.Partition}); found {
			pending := &s.txns.mutable(id).offsets[at]
			s.itemHashSum -= hashTxnOffset(id, pending)
			pending.OffsetCommit = o
			s.itemHashSum += hashTxnOffset(id, pending)
		}
	}
}

// storeOffset makes a group's offset visible.
func (s *State) storeOffset(group string, o OffsetCommit) {
	g := s.ensureGroup(group)
	tp := TopicPartition{o.Topic, o.Partition}
	if old := g.offsets.get(tp); old != nil {
		s.itemHashSum -= hashOffset(group, tp, old)
	} else {
		s.offsets++
	}
	g.offsets.put(tp, o)
	s.itemHashSum += hashOffset(group, tp, &o)
}

// countNewOffsets counts the offsets of partitions for which the group has none
// yet.
func (s *State) countNewOffsets(c CommitOffsets) (n int) {
	g := s.groups.get(c.Group)
	for i := range c.Offsets {
		if g == nil {
			return len(c.Offsets)
		}
		if g.offsets.get(TopicPartition{c.Offsets[i].Topic, c.Offsets[i].Partition}) == nil {
			n++
		}
	}
	return n
}

// DeleteOffsets deletes offsets of a group.
type DeleteOffsets struct {
	Group      string
	Epoch      RoleEpoch
	Partitions []TopicPartition
}

// Kind implements Command.
func (DeleteOffsets) Kind() CommandKind { return 17 }

func (c DeleteOffsets) encode(w *writer) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.writeTopicPartitions(c.Partitions)
}

func decodeDeleteOffsets(r *reader) Command {
	return DeleteOffsets{r.Text(), RoleEpoch(r.Uint64()), r.readTopicPartitions()}
}

func (c DeleteOffsets) apply(s *State, _ *Entry) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group, c.Epoch); stale {
		return out
	}
	if !s.groups.has(c.Group) {
		return CommandOutcome{Code: CodeUnknownGroup}
	}
	s.dropPendingOffsets(c.Group, c.Partitions)
	s.dropOffsets(c.Group, c.Partitions)
	return CommandOutcome{}
}

// dropPendingOffsets removes deleted offsets from the transactions under way,
// which then do not commit them, as in Kafka.
func (s *State) dropPendingOffsets(group string, list []TopicPartition) {
	if s.pendingOffsets == 0 {
		return
	}
	for id := range s.ongoingTxns {
		for _, tp := range list {
			at, found := s.txns.get(id).findOffset(group, tp)
			if !found {
				continue
			}
			t := s.txns.mutable(id)
			s.itemHashSum -= hashTxnOffset(id, &t.offsets[at])
			t.offsets = slices.Delete(t.offsets, at, at+1)
			s.pendingOffsets--
		}
	}
}

// dropOffsets deletes offsets. A group without offsets stays, as in Kafka, until
// the expiry of offsets visits it (ExpireOffsets).
func (s *State) dropOffsets(name string, list []TopicPartition) {
	g := s.groups.mutable(name)
	for _, tp := range list {
		if old := g.offsets.get(tp); old != nil {
			s.itemHashSum -= hashOffset(name, tp, old)
			g.offsets.dropKey(tp)
			s.offsets--
		}
	}
}

// ExpireOffsets deletes those of the listed offsets of a group that were
// committed at Before or earlier. It deletes the group where it is left without
// offsets, members, and offsets in a transaction under way. Outcome.Value is the
// number of offsets deleted.
type ExpireOffsets struct {
	Group      string
	Epoch      RoleEpoch
	Before     UnixMilli
	Partitions []TopicPartition
}

// Kind implements Command.
func (ExpireOffsets) Kind() CommandKind { return 44 }

func (c ExpireOffsets) encode(w *writer) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.u64(uint64(c.Before))
	w.writeTopicPartitions(c.Partitions)
}

func decodeExpireOffsets(r *reader) Command {
	return ExpireOffsets{r.Text(), RoleEpoch(r.Uint64()), UnixMilli(r.Uint64()), r.readTopicPartitions()}
}

func (c ExpireOffsets) apply(s *State, _ *Entry) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group, c.Epoch); stale {
		return out
	}
	g := s.groups.get(c.Group)
	if g == nil {
		return CommandOutcome{Code: CodeUnknownGroup}
	}
	var old []TopicPartition
	pending := s.pendingOffsetPartitions(c.Group)
	for _, tp := range c.Partitions {
		if o := g.offsets.get(tp); o != nil && o.Time <= c.Before && !pending[tp] {
			old = append(old, tp)
		}
	}
	s.dropOffsets(c.Group, old)
	if g := s.groups.get(c.Group); g.offsets.len() == 0 && len(pending) == 0 && !g.hasMembers() {
		s.groups.drop(c.Group)
	}
	return CommandOutcome{Value: int64(len(old))}
}

// pendingOffsetPartitions returns the partitions for which transactions under way
// have offsets of the group.
func (s *State) pendingOffsetPartitions(group string) map[TopicPartition]bool {
	if s.pendingOffsets == 0 {
		return nil
	}
	out := map[TopicPartition]bool{}
	for id := range s.ongoingTxns {
		list := s.txns.get(id).offsets
		i, _ := slices.BinarySearchFunc(list, group, func(o txnOffset, group string) int {
			return cmp.Or(compareStrings(o.group, group), 1) // sorts before the first of the group
		})
		for ; i < len(list) && list[i].group == group; i++ {
			out[list[i].topicPartition()] = true
		}
	}
	return out
}

func (w *writer) writeOffsets(list []OffsetCommit) {
	w.uvarint(uint64(len(list)))
	for i := range list {
		o := &list[i]
		w.raw(o.Topic[:])
		w.uvarint(uint64(uint32(o.Partition)))
		w.varint(int64(o.Offset))
		w.varint(int64(o.LeaderEpoch))
		w.text(o.Metadata)
		w.u64(uint64(o.Time))
	}
}

func (r *reader) readOffsets() (out []OffsetCommit) {
	n := r.Count(28, "offsets")
	if n > 0 {
		out = make([]OffsetCommit, 0, n)
	}
	for range n {
		out = append(out, OffsetCommit{r.readTopicID(), Partition(r.UvarintUpTo(1<<31-1, "partition")), Offset(r.Varint()),
			LeaderEpoch(r.Varint()), r.Text(), UnixMilli(r.Uint64())})
	}
	return out
}
