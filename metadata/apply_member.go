package metadata

import (
	"cmp"
	"slices"
)

// checkGroupLimit refuses a group that is one too many.
func (s *State) checkGroupLimit(name string) (CommandOutcome, bool) {
	if s.groups.count >= s.limits.Groups && !s.groups.has(name) {
		return refuse(CodeLimit, "%d groups", s.groups.count), true
	}
	return CommandOutcome{}, false
}

// editGroupHead changes what a group has beside offsets and members, and keeps the
// hash at a cost that does not depend on those.
func (s *State) editGroupHead(name string, change func(*groupState)) {
	g := s.ensureGroup(name)
	s.sum -= hashGroupHead(name, g)
	change(g)
	s.sum += hashGroupHead(name, g)
}

func (s *State) applyPutMember(c PutMember) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group, c.Epoch); stale {
		return out
	}
	if out, full := s.checkGroupLimit(c.Group); full {
		return out
	}
	k := memberKey{c.Group, c.Member.ID}
	old := s.members.get(k)
	if c.Member.ID == "" {
		return refuse(CodeInvalidRequest, "member without id")
	}
	if old == nil && s.members.count >= s.limits.Members {
		return refuse(CodeLimit, "%d members", s.members.count)
	}
	m := memberState{info: c.Member}
	if old != nil {
		m.assignment, m.target = old.assignment, old.target
	}
	s.members.put(k, m)
	s.editGroupHead(c.Group, func(g *groupState) {
		next := ConsumerGroup{Epoch: c.GroupEpoch, AssignmentEpoch: c.GroupEpoch - 1}
		if g.consumer != nil {
			next.AssignmentEpoch, next.Members = g.consumer.AssignmentEpoch, g.consumer.Members
		}
		if old == nil {
			next.Members++
		}
		g.group, g.consumer, g.emptySince = nil, &next, 0
	})
	return CommandOutcome{}
}

func (s *State) applyRemoveMembers(c RemoveMembers) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group, c.Epoch); stale {
		return out
	}
	g := s.groups.get(c.Group)
	if g == nil || g.consumer == nil {
		return CommandOutcome{Code: CodeUnknownGroup}
	}
	next := *g.consumer
	next.Epoch = c.GroupEpoch
	for _, id := range c.IDs {
		if k := (memberKey{c.Group, id}); s.members.has(k) {
			s.members.drop(k)
			next.Members--
		}
	}
	s.editGroupHead(c.Group, func(g *groupState) {
		if next.Members == 0 && g.emptySince == 0 {
			g.emptySince = max(s.time, 1)
		}
		g.consumer = &next
	})
	return CommandOutcome{}
}

// hasAllMembers reports whether all are members of the group.
func hasAllMembers[T any](s *State, group string, list []T, id func(*T) string) bool {
	for i := range list {
		if !s.members.has(memberKey{group, id(&list[i])}) {
			return false
		}
	}
	return true
}

func (s *State) applySetAssignments(c SetAssignments) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group, c.Epoch); stale {
		return out
	}
	if !hasAllMembers(s, c.Group, c.Members, func(m *MemberAssignment) string { return m.ID }) {
		return refuse(CodeInvalidRequest, "assignment of an unknown member")
	}
	for _, has := range c.Members {
		s.members.edit(memberKey{c.Group, has.ID}, func(m *memberState) {
			m.assignment = has
			m.assignment.ID = ""
		})
	}
	return CommandOutcome{}
}

func (s *State) applySetTargets(c SetTargets) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group, c.Epoch); stale {
		return out
	}
	g := s.groups.get(c.Group)
	if g == nil || g.consumer == nil {
		return CommandOutcome{Code: CodeUnknownGroup}
	}
	if !hasAllMembers(s, c.Group, c.Targets, func(m *MemberTarget) string { return m.ID }) {
		return refuse(CodeInvalidRequest, "target of an unknown member")
	}
	for _, t := range c.Targets {
		s.members.edit(memberKey{c.Group, t.ID}, func(m *memberState) { m.target = t.Target })
	}
	s.editGroupHead(c.Group, func(g *groupState) {
		g.consumer = &ConsumerGroup{c.GroupEpoch, c.AssignmentEpoch, g.consumer.Members}
	})
	return CommandOutcome{}
}

// dropMembers forgets all members of a group, as when it goes back to the
// classic protocol.
func (s *State) dropMembers(group string) {
	var ids []string
	s.members.eachInPage(memberKey{group: group}, func(k memberKey, _ *memberState) {
		if k.group == group {
			ids = append(ids, k.id)
		}
	})
	for _, id := range ids {
		s.members.drop(memberKey{group, id})
	}
}

// hasMembers reports whether a group has members of either protocol.
func (g *groupState) hasMembers() bool {
	return g.group != nil && len(g.group.Members) > 0 || g.consumer != nil && g.consumer.Members > 0
}

// pendingOffsetPartitions returns the partitions of which transactions under way are about
// to commit positions for the group.
func (s *State) pendingOffsetPartitions(group string) map[TopicPartition]bool {
	if s.pendingOffsets == 0 {
		return nil
	}
	out := map[TopicPartition]bool{}
	for id := range s.ongoingTxns {
		list := s.txns.get(id).offsets
		i, _ := slices.BinarySearchFunc(list, group, func(o txnOffset, group string) int {
			return cmp.Or(compareStrings(o.group, group), 1) // before the first of the group
		})
		for ; i < len(list) && list[i].group == group; i++ {
			out[list[i].topicPartition()] = true
		}
	}
	return out
}

func (s *State) applyExpireOffsets(c ExpireOffsets) CommandOutcome {
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
		if o, known := g.offsets[tp]; known && o.Time <= c.Before && !pending[tp] {
			old = append(old, tp)
		}
	}
	s.dropOffsets(c.Group, old)
	if g := s.groups.get(c.Group); len(g.offsets) == 0 && len(pending) == 0 && !g.hasMembers() {
		s.groups.drop(c.Group)
	}
	return CommandOutcome{Value: int64(len(old))}
}
