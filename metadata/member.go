package metadata

import "slices"

// memberKey identifies a stored member.
type memberKey struct{ group, id string }

// memberState is a stored member. Its slices are replaced, never changed.
type memberState struct {
	info       ConsumerMember
	assignment MemberAssignment // without the id
	target     []PartitionRange
}

func pageOfMember(k memberKey) uint64 { return pageOfGroup(k.group) }

func hashMember(k memberKey, m memberState) uint64 {
	var w writer
	w.writeMemberItem(k, &m)
	return hashSeedItem.Word(itemMember).Bytes(w.b).Sum()
}

// MemberView is a stored member. Do not change what it refers to.
type MemberView struct {
	ConsumerMember
	Assignment MemberAssignment
	Target     []PartitionRange
}

// Members returns the stored members of a group of the consumer protocol, sorted
// by id. It visits every member of the groups that share the page: for a
// coordinator that loads a group.
func (s *State) Members(group string) (out []MemberView) {
	s.members.eachInPage(memberKey{group: group}, func(k memberKey, m *memberState) {
		if k.group == group {
			v := MemberView{m.info, m.assignment, m.target}
			v.Assignment.ID = k.id
			out = append(out, v)
		}
	})
	slices.SortFunc(out, func(a, b MemberView) int { return compareStrings(a.ID, b.ID) })
	return out
}

// hasMembers reports whether a group has members of either protocol.
func (g *groupState) hasMembers() bool {
	return g.group != nil && len(g.group.Members) > 0 || g.consumer != nil && g.consumer.Members > 0
}
