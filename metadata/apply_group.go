package metadata

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// GroupSlotRole returns the name of the duty that coordinates a slot's groups.
func GroupSlotRole(slot Slot) string { return fmt.Sprintf("group-slot-%02d", slot) }

// parseGroupSlotRole is the reverse of GroupSlotRole.
func parseGroupSlotRole(duty string) (Slot, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(duty, "group-slot-"))
	if err != nil || n < 0 || n >= GroupSlots || GroupSlotRole(Slot(n)) != duty {
		return 0, false
	}
	return Slot(n), true
}

// checkSlotEpoch refuses what was written under an older epoch of the group's slot.
func (s *State) checkSlotEpoch(group string, epoch RoleEpoch) (CommandOutcome, bool) {
	if d := s.roles[GroupSlotRole(GroupSlot(group))]; d.epoch != epoch {
		return refuse(CodeStaleRole, "slot epoch %d, now %d", epoch, d.epoch), true
	}
	return CommandOutcome{}, false
}

func (s *State) applyCommitOffsets(c CommitOffsets) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group, c.Epoch); stale {
		return out
	}
	for i := range c.Offsets {
		if !s.partitions.has(TopicPartition{c.Offsets[i].Topic, c.Offsets[i].Partition}) {
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

// supersedePendingOffsets puts a position in the place of older ones of the same partition
// that transactions under way have: of a group's positions the later one
// counts, also where the earlier one's transaction commits after it.
func (s *State) supersedePendingOffsets(group string, o OffsetCommit) {
	if s.pendingOffsets == 0 {
		return
	}
	for id := range s.ongoingTxns {
		if at, found := s.txns.get(id).findOffset(group, TopicPartition{o.Topic, o.Partition}); found {
			s.txns.edit(id, func(t *txnState) { t.offsets[at].OffsetCommit = o })
		}
	}
}

// storeOffset makes a group's position visible.
func (s *State) storeOffset(group string, o OffsetCommit) {
	g := s.ensureGroup(group)
	tp := TopicPartition{o.Topic, o.Partition}
	if old, known := g.offsets[tp]; known {
		s.sum -= hashOffset(group, tp, &old)
	} else {
		s.offsets++
	}
	g.offsets[tp] = o
	s.sum += hashOffset(group, tp, &o)
}

// countNewOffsets counts what a commit would add to what the group has.
func (s *State) countNewOffsets(c CommitOffsets) (n int) {
	g := s.groups.get(c.Group)
	for i := range c.Offsets {
		if g == nil {
			return len(c.Offsets)
		}
		if _, known := g.offsets[TopicPartition{c.Offsets[i].Topic, c.Offsets[i].Partition}]; !known {
			n++
		}
	}
	return n
}

// ensureGroup returns the group to change, made where it was not there. The
// caller keeps the hash.
func (s *State) ensureGroup(name string) *groupState {
	if !s.groups.has(name) {
		s.groups.put(name, groupState{offsets: map[TopicPartition]OffsetCommit{}})
	}
	return s.groups.mutable(name)
}

func (s *State) applyPutGroup(c PutGroup) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group.Name, c.Epoch); stale {
		return out
	}
	if out, full := s.checkGroupLimit(c.Group.Name); full {
		return out
	}
	group := c.Group
	if old := s.groups.get(group.Name); old != nil && old.consumer != nil {
		s.dropMembers(group.Name)
	}
	s.editGroupHead(group.Name, func(g *groupState) {
		switch {
		case len(group.Members) > 0:
			g.emptySince = 0
		case g.emptySince == 0:
			g.emptySince = max(s.time, 1)
		}
		g.group, g.consumer = &group, nil
	})
	return CommandOutcome{}
}

func (s *State) applyDeleteGroup(c DeleteGroup) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Name, c.Epoch); stale {
		return out
	}
	g := s.groups.get(c.Name)
	if g == nil {
		return CommandOutcome{Code: CodeUnknownGroup}
	}
	s.dropPendingOffsets(c.Name, slices.Collect(maps.Keys(s.pendingOffsetPartitions(c.Name))))
	s.offsets -= len(g.offsets)
	if g.consumer != nil {
		s.dropMembers(c.Name)
	}
	s.groups.drop(c.Name)
	return CommandOutcome{}
}

func (s *State) applyDeleteOffsets(c DeleteOffsets) CommandOutcome {
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

// dropPendingOffsets takes positions that are deleted out of the transactions under
// way, which then do not commit them, as at Kafka.
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
			s.txns.edit(id, func(t *txnState) { t.offsets = slices.Delete(t.offsets, at, at+1) })
			s.pendingOffsets--
		}
	}
}

// dropOffsets forgets positions. A group whose last one goes stays, as at Kafka,
// until its positions are looked through for what is due (ExpireOffsets).
func (s *State) dropOffsets(name string, list []TopicPartition) {
	g := s.groups.mutable(name)
	for _, tp := range list {
		if old, known := g.offsets[tp]; known {
			s.sum -= hashOffset(name, tp, &old)
			delete(g.offsets, tp)
			s.offsets--
		}
	}
}
