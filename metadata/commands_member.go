package metadata

import "slices"

// Groups of the consumer protocol (KIP-848) are stored member by member, so
// that a change costs what changed and not what the group has. Each command
// carries the epoch of the group's slot; values are absolute, so that what was
// written and not heard of can be written again.

// PartitionRange is partitions of a topic that follow one another. Lists of
// them are sorted by topic and partition, and ranges of a topic do not touch.
type PartitionRange struct {
	Topic TopicID
	First Partition
	Count int32
}

// Ranges returns sorted partitions as ranges.
func Ranges(list []TopicPartition) (out []PartitionRange) {
	for _, tp := range list {
		if n := len(out); n > 0 && out[n-1].endsBefore(tp) {
			out[n-1].Count++
			continue
		}
		out = append(out, PartitionRange{tp.Topic, tp.Partition, 1})
	}
	return out
}

// Partitions returns the partitions of ranges, sorted as they are.
func Partitions(ranges []PartitionRange) (out []TopicPartition) {
	for _, r := range ranges {
		out = append(out, r.Partitions()...)
	}
	return out
}

// HeldRange is partitions that a member has had since the same epoch: of those
// a commit under an older epoch than the member's is good (KIP-1251). Lists of
// them are sorted as ranges are; two may touch where their epochs differ.
type HeldRange struct {
	PartitionRange
	Since int32 // the member's epoch when it was given them; 0 as soon as a static member was away
}

// HeldRanges returns sorted partitions as ranges; since tells a partition's.
func HeldRanges(list []TopicPartition, since func(TopicPartition) int32) (out []HeldRange) {
	for _, tp := range list {
		at := since(tp)
		if n := len(out); n > 0 && out[n-1].Since == at && out[n-1].endsBefore(tp) {
			out[n-1].Count++
			continue
		}
		out = append(out, HeldRange{PartitionRange{tp.Topic, tp.Partition, 1}, at})
	}
	return out
}

// endsBefore reports whether a partition is the one behind the range.
func (r PartitionRange) endsBefore(tp TopicPartition) bool {
	return r.Topic == tp.Topic && r.First+Partition(r.Count) == tp.Partition
}

// Partitions returns the partitions of a range.
func (r PartitionRange) Partitions() []TopicPartition {
	out := make([]TopicPartition, r.Count)
	for i := range out {
		out[i] = TopicPartition{r.Topic, r.First + Partition(i)}
	}
	return out
}

// MemberState says how far a member has come towards its target.
type MemberState uint8

// The states of a member.
const (
	MemberStable   MemberState = iota // it has what its epoch gives it
	MemberRevoking                    // it must give partitions up before its epoch moves on
	MemberWaiting                     // it is at its epoch, and waits for partitions that others hold
)

// ConsumerMember is what a member of the consumer protocol says of itself.
type ConsumerMember struct {
	ID, InstanceID, RackID, ClientID, ClientHost string
	RebalanceTimeoutMs                           int32
	Topics                                       []string // by name, sorted
	Regex                                        string   // RE2; "" is none
	Assignor                                     string   // the one it would like; "" is none
	// SessionTimeoutMs is of a member that speaks the classic protocol inside
	// the group (online migration), with what it can speak; else 0.
	SessionTimeoutMs int32
	Protocols        []GroupProtocol
}

// MemberAssignment is what a member has.
type MemberAssignment struct {
	ID              string
	Epoch, Previous int32 // of the member
	State           MemberState
	Assigned        []HeldRange
	Revoking        []HeldRange // to be given up, and not known to be
}

// MemberTarget is what a member shall have.
type MemberTarget struct {
	ID     string
	Target []PartitionRange
}

// ConsumerGroup is the head of a group of the consumer protocol.
type ConsumerGroup struct {
	Epoch           int32 // rises with whatever asks for another assignment
	AssignmentEpoch int32 // the group epoch that the members' targets answer
	Members         int   // stored
}

// PutMember stores what a member says of itself; a new one has nothing yet. A
// classic group of the name becomes one of the consumer protocol.
type PutMember struct {
	Group      string
	Epoch      RoleEpoch
	GroupEpoch int32
	Member     ConsumerMember
}

// RemoveMembers forgets members; ids that are not there do not matter.
type RemoveMembers struct {
	Group      string
	Epoch      RoleEpoch
	GroupEpoch int32
	IDs        []string
}

// SetAssignments stores what members have.
type SetAssignments struct {
	Group   string
	Epoch   RoleEpoch
	Members []MemberAssignment
}

// SetTargets stores what members shall have. Where a set takes several
// commands, the last one raises AssignmentEpoch: until then a new coordinator
// knows that the targets are not complete.
type SetTargets struct {
	Group           string
	Epoch           RoleEpoch
	GroupEpoch      int32
	AssignmentEpoch int32
	Targets         []MemberTarget
}

// ExpireOffsets forgets the listed positions of a group that nobody renewed
// since Before, and a group that has none and no members, and of which no
// transaction under way has any.
type ExpireOffsets struct {
	Group      string
	Epoch      RoleEpoch
	Before     UnixMilli
	Partitions []TopicPartition
}

// The kinds of group commands beyond the classic protocol's.
const (
	KindPutMember CommandKind = iota + 40
	KindRemoveMembers
	KindSetAssignments
	KindSetTargets
	KindExpireOffsets
)

// Kind implements Command.
func (PutMember) Kind() CommandKind      { return KindPutMember }
func (RemoveMembers) Kind() CommandKind  { return KindRemoveMembers }
func (SetAssignments) Kind() CommandKind { return KindSetAssignments }
func (SetTargets) Kind() CommandKind     { return KindSetTargets }
func (ExpireOffsets) Kind() CommandKind  { return KindExpireOffsets }

// memberKey is a stored member's.
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

// Members returns the stored members of a group of the consumer protocol,
// sorted by id. It looks at every member of groups that share the page: for a
// coordinator that takes a group up.
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
