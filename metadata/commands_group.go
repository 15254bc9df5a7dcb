package metadata

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// GroupSlotRole returns the name of the role that coordinates a slot's groups.
func GroupSlotRole(slot Slot) string { return fmt.Sprintf("group-slot-%02d", slot) }

// parseGroupSlotRole is the reverse of GroupSlotRole.
func parseGroupSlotRole(role string) (Slot, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(role, "group-slot-"))
	if err != nil || n < 0 || n >= GroupSlots || GroupSlotRole(Slot(n)) != role {
		return 0, false
	}
	return Slot(n), true
}

// checkSlotEpoch refuses a command of an older epoch of the group's slot.
func (s *State) checkSlotEpoch(group string, epoch RoleEpoch) (CommandOutcome, bool) {
	if d := s.roles[GroupSlotRole(GroupSlot(group))]; d.epoch != epoch {
		return refuse(CodeStaleRole, "slot epoch %d, now %d", epoch, d.epoch), true
	}
	return CommandOutcome{}, false
}

// checkGroupLimit refuses a new group where the limit is reached.
func (s *State) checkGroupLimit(name string) (CommandOutcome, bool) {
	if s.groups.count >= s.limits.Groups && !s.groups.has(name) {
		return refuse(CodeLimit, "%d groups", s.groups.count), true
	}
	return CommandOutcome{}, false
}

// ensureGroup returns the group to change, and creates it if needed. The caller
// updates the hash.
func (s *State) ensureGroup(name string) *groupState {
	if !s.groups.has(name) {
		s.groups.put(name, groupState{offsets: newCowMap[TopicPartition, OffsetCommit]()})
	}
	return s.groups.mutable(name)
}

// editGroupHead changes a group except its offsets and members, and updates the
// hash at a cost that does not depend on those.
func (s *State) editGroupHead(name string, change func(*groupState)) {
	g := s.ensureGroup(name)
	s.itemHashSum -= hashGroupHead(name, g)
	change(g)
	s.itemHashSum += hashGroupHead(name, g)
}

// GroupMember is one member of a stored group. Protocols has the one that was
// chosen; in groups that an older broker wrote, all that the member supports.
type GroupMember struct {
	ID, InstanceID, ClientID, ClientHost string
	SessionTimeoutMs, RebalanceTimeoutMs int32
	Protocols                            []GroupProtocol
	Assignment                           []byte
}

// GroupProtocol is a protocol that a member supports, with its metadata bytes as
// the member sent them.
type GroupProtocol struct {
	Name     string
	Metadata []byte
}

// Group is what is stored of a classic group: enough for the next coordinator to
// continue without a rebalance.
type Group struct {
	Name         string
	ProtocolType string
	Protocol     string
	Leader       string
	Generation   int32
	Members      []GroupMember
}

// PutGroup stores a classic group's membership under its slot's epoch.
type PutGroup struct {
	Epoch RoleEpoch
	Group Group
}

// Kind implements Command.
func (PutGroup) Kind() CommandKind { return 15 }

func (c PutGroup) encode(w *writer) {
	w.u64(uint64(c.Epoch))
	w.writeGroup(&c.Group)
}

func decodePutGroup(r *reader) Command { return PutGroup{RoleEpoch(r.Uint64()), r.readGroup()} }

func (c PutGroup) apply(s *State, _ *Entry) CommandOutcome {
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

// DeleteGroup deletes a group and its offsets.
type DeleteGroup struct {
	Epoch RoleEpoch
	Name  string
}

// Kind implements Command.
func (DeleteGroup) Kind() CommandKind { return 16 }

func (c DeleteGroup) encode(w *writer) {
	w.u64(uint64(c.Epoch))
	w.text(c.Name)
}

func decodeDeleteGroup(r *reader) Command { return DeleteGroup{RoleEpoch(r.Uint64()), r.Text()} }

func (c DeleteGroup) apply(s *State, _ *Entry) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Name, c.Epoch); stale {
		return out
	}
	g := s.groups.get(c.Name)
	if g == nil {
		return CommandOutcome{Code: CodeUnknownGroup}
	}
	s.dropPendingOffsets(c.Name, slices.Collect(maps.Keys(s.pendingOffsetPartitions(c.Name))))
	s.offsets -= g.offsets.len()
	if g.consumer != nil {
		s.dropMembers(c.Name)
	}
	s.groups.drop(c.Name)
	return CommandOutcome{}
}
