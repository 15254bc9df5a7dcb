package metadata

// Groups of the consumer protocol (KIP-848) are stored member by member, so that
// a write costs what changed and not what the group has. Each command has the
// epoch of the group's slot. Values are absolute, so that a command whose outcome
// is unknown can be written again.

// MemberState is how far a member has come towards its target.
type MemberState uint8

// The states of a member.
const (
	MemberStable   MemberState = iota // it has its assignment of its epoch
	MemberRevoking                    // it must give up partitions before its epoch rises
	MemberWaiting                     // it has its epoch, and waits for partitions of other members
)

// ConsumerMember is what a member of the consumer protocol reports about itself.
type ConsumerMember struct {
	ID, InstanceID, RackID, ClientID, ClientHost string
	RebalanceTimeoutMs                           int32
	Topics                                       []string // by name, sorted
	Regex                                        string   // RE2; "" is none
	Assignor                                     string   // its preferred assignor; "" is none
	// SessionTimeoutMs and Protocols are of a member that uses the classic
	// protocol inside the group (online migration, KIP-848); else zero.
	SessionTimeoutMs int32
	Protocols        []GroupProtocol
}

// MemberAssignment is the current assignment of a member.
type MemberAssignment struct {
	ID              string
	Epoch, Previous int32 // of the member
	State           MemberState
	Assigned        []HeldRange
	Revoking        []HeldRange // to be revoked, and not yet confirmed
}

// MemberTarget is the target assignment of a member.
type MemberTarget struct {
	ID     string
	Target []PartitionRange
}

// ConsumerGroup is what is stored of a group of the consumer protocol, except its
// members and offsets.
type ConsumerGroup struct {
	Epoch           int32 // rises with every change that needs another assignment
	AssignmentEpoch int32 // the group epoch of the members' targets
	Members         int   // stored
}

// PutMember stores what a member reports about itself; a new member has no
// assignment yet. A classic group of this name becomes one of the consumer
// protocol.
type PutMember struct {
	Group      string
	Epoch      RoleEpoch
	GroupEpoch int32
	Member     ConsumerMember
}

// Kind implements Command.
func (PutMember) Kind() CommandKind { return 40 }

func (c PutMember) encode(w *writer) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.u32(uint32(c.GroupEpoch))
	w.writeConsumerMember(&c.Member)
}

func decodePutMember(r *reader) Command {
	return PutMember{r.Text(), RoleEpoch(r.Uint64()), int32(r.Uint32()), r.readConsumerMember()}
}

func (c PutMember) apply(s *State, _ *Entry) CommandOutcome {
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

// RemoveMembers deletes members; ids of no member are ignored.
type RemoveMembers struct {
	Group      string
	Epoch      RoleEpoch
	GroupEpoch int32
	IDs        []string
}

// Kind implements Command.
func (RemoveMembers) Kind() CommandKind { return 41 }

func (c RemoveMembers) encode(w *writer) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.u32(uint32(c.GroupEpoch))
	w.writeTextList(c.IDs)
}

func decodeRemoveMembers(r *reader) Command {
	return RemoveMembers{r.Text(), RoleEpoch(r.Uint64()), int32(r.Uint32()), r.readTextList()}
}

func (c RemoveMembers) apply(s *State, _ *Entry) CommandOutcome {
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

// SetAssignments stores the current assignments of members.
type SetAssignments struct {
	Group   string
	Epoch   RoleEpoch
	Members []MemberAssignment
}

// Kind implements Command.
func (SetAssignments) Kind() CommandKind { return 42 }

func (c SetAssignments) encode(w *writer) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.uvarint(uint64(len(c.Members)))
	for i := range c.Members {
		w.text(c.Members[i].ID)
		w.writeMemberAssignment(&c.Members[i])
	}
}

func decodeSetAssignments(r *reader) Command {
	c := SetAssignments{Group: r.Text(), Epoch: RoleEpoch(r.Uint64())}
	for range r.Count(12, "members") {
		c.Members = append(c.Members, r.readMemberAssignment(r.Text()))
	}
	return c
}

func (c SetAssignments) apply(s *State, _ *Entry) CommandOutcome {
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

// SetTargets stores the target assignments of members. Where they take several
// commands, only the last one raises AssignmentEpoch, so that a new coordinator
// can see that the targets are not complete.
type SetTargets struct {
	Group           string
	Epoch           RoleEpoch
	GroupEpoch      int32
	AssignmentEpoch int32
	Targets         []MemberTarget
}

// Kind implements Command.
func (SetTargets) Kind() CommandKind { return 43 }

func (c SetTargets) encode(w *writer) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.u32(uint32(c.GroupEpoch))
	w.u32(uint32(c.AssignmentEpoch))
	w.uvarint(uint64(len(c.Targets)))
	for i := range c.Targets {
		w.text(c.Targets[i].ID)
		w.writeRanges(c.Targets[i].Target)
	}
}

func decodeSetTargets(r *reader) Command {
	c := SetTargets{Group: r.Text(), Epoch: RoleEpoch(r.Uint64()), GroupEpoch: int32(r.Uint32()), AssignmentEpoch: int32(r.Uint32())}
	for range r.Count(2, "targets") {
		c.Targets = append(c.Targets, MemberTarget{r.Text(), r.readRanges()})
	}
	return c
}

func (c SetTargets) apply(s *State, _ *Entry) CommandOutcome {
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

// hasAllMembers reports whether the group has all members of the list.
func hasAllMembers[T any](s *State, group string, list []T, id func(*T) string) bool {
	for i := range list {
		if !s.members.has(memberKey{group, id(&list[i])}) {
			return false
		}
	}
	return true
}

// dropMembers deletes all members of a group, as when it returns to the classic
// protocol.
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
