package groups

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Describe answers DescribeGroups, versions 0 to 6. A group that is not known
// is "Dead" without an error up to version 5, and 69 from 6 on. Authorized
// operations are what Kafka answers without an authorizer when asked.
func (c *Coordinator) Describe(ctx context.Context, _ Client, r *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	out := kmsg.NewPtrDescribeGroupsResponse()
	out.Version = r.Version
	out.Groups = make([]kmsg.DescribeGroupsResponseGroup, 0, len(r.Groups))
	barrier := sync.OnceValue(func() int16 { return c.barrier(ctx) })
	told := 0
	for _, name := range r.Groups {
		if ctx.Err() != nil {
			break
		}
		if told > maxDescribedBytes {
			g := kmsg.NewDescribeGroupsResponseGroup()
			g.Group, g.ErrorCode, g.AuthorizedOperations = name, kerr.CoordinatorLoadInProgress.Code, noAuthorizedOperations
			out.Groups = append(out.Groups, g)
			continue
		}
		g := c.describeGroup(ctx, name, r.Version, barrier)
		for i := range g.Members {
			told += 200 + len(g.Members[i].ProtocolMetadata) + len(g.Members[i].MemberAssignment)
		}
		if r.IncludeAuthorizedOperations && g.ErrorCode == noError {
			g.AuthorizedOperations = allOperations
		}
		out.Groups = append(out.Groups, g)
	}
	return out
}

func (c *Coordinator) describeGroup(ctx context.Context, name string, version int16, barrier func() int16) kmsg.DescribeGroupsResponseGroup {
	out := kmsg.NewDescribeGroupsResponseGroup()
	out.Group, out.AuthorizedOperations = name, noAuthorizedOperations
	g, code := c.acquireGroup(name, false)
	if g != nil {
		defer c.releaseGroup(g)
		modern := false
		if queryGroup(ctx, g, false, func(time.Time) bool {
			modern = g.consumer != nil
			if g.classic.state == stateEmpty && !g.classic.hasRecord {
				return false // of the members' side nothing is known; offsets may be
			}
			g.classic.fillDescription(&out)
			return true
		}) {
			return out
		}
		if modern {
			return newNotClassicResponse(out, version, "the group is not a classic group")
		}
	}
	if code == noError {
		code = barrier()
	}
	if code != noError {
		out.ErrorCode = code
		return out
	}
	known, modern := false, false
	c.cfg.Replica.View(func(s *metadata.State) {
		var v metadata.GroupView
		if v, known = s.Group(name); known && v.Group != nil {
			out.ProtocolType = v.Group.ProtocolType
		}
		modern = known && v.Consumer != nil
	})
	// What was read is the truth only if the slot is still ours behind the
	// barrier.
	if _, out.ErrorCode = c.findOwnedSlot(metadata.GroupSlot(name)); out.ErrorCode != noError {
		return out
	}
	out.State = stateEmpty.String()
	switch {
	case !known:
		return newNotClassicResponse(out, version, groupMissingMessage)
	case modern:
		return newNotClassicResponse(out, version, "the group is not a classic group")
	}
	return out
}

// maxDescribedBytes bounds what one answer tells of members: of the groups
// behind it clients ask again (COORDINATOR_LOAD_IN_PROGRESS).
const maxDescribedBytes = 32 << 20

// estimateMemberBytes is about what a member takes in an answer.
func estimateMemberBytes(m *kmsg.ConsumerGroupDescribeResponseGroupMember) (n int) {
	n = 200
	for _, a := range [][]kmsg.AssignmentTopicPartition{m.Assignment.TopicPartitions, m.TargetAssignment.TopicPartitions} {
		for i := range a {
			n += 40 + len(a[i].Topic) + 4*len(a[i].Partitions)
		}
	}
	for _, t := range m.SubscribedTopics {
		n += 2 + len(t)
	}
	return n
}

// newNotClassicResponse is the answer for a group that DescribeGroups does not know.
func newNotClassicResponse(out kmsg.DescribeGroupsResponseGroup, version int16, message string) kmsg.DescribeGroupsResponseGroup {
	out.State = stateNameDead
	if version >= 6 {
		out.ErrorCode, out.ErrorMessage = kerr.GroupIDNotFound.Code, &message
	}
	return out
}

// fillDescription fills an answer in. Members' metadata is shown of a stable group
// only: before, there is no chosen protocol whose it could be.
func (m *classicGroup) fillDescription(out *kmsg.DescribeGroupsResponseGroup) {
	out.State, out.ProtocolType = m.state.String(), m.protocolType
	stable := m.state == stateStable
	if stable {
		out.Protocol = m.protocol
	}
	for _, mem := range m.membersByArrival() {
		d := kmsg.NewDescribeGroupsResponseGroupMember()
		d.MemberID, d.InstanceID, d.ClientID, d.ClientHost = mem.id, nullableText(mem.instance), mem.clientID, mem.clientHost
		d.ProtocolMetadata, d.MemberAssignment = []byte{}, append([]byte{}, mem.assignment...)
		if stable {
			d.ProtocolMetadata = mem.findMetadata(m.protocol)
		}
		out.Members = append(out.Members, d)
	}
}

// List answers ListGroups, versions 0 to 5, for the slots held: clients ask
// every broker and put the answers together. From version 4 states filter,
// from 5 types; neither minds case.
func (c *Coordinator) List(_ context.Context, _ Client, r *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	out := kmsg.NewPtrListGroupsResponse()
	out.Version = r.Version
	found, loading := c.listSummaries()
	if loading {
		out.ErrorCode = kerr.CoordinatorLoadInProgress.Code
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	states, types := newLowerCaseSet(r.StatesFilter), newLowerCaseSet(r.TypesFilter)
	for _, name := range names {
		if len(states) > 0 && r.Version >= 4 && !states[strings.ToLower(found[name].state)] {
			continue
		}
		if len(types) > 0 && r.Version >= 5 && !types[strings.ToLower(found[name].kind)] {
			continue
		}
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType, g.GroupState, g.GroupType = name, found[name].protocolType, found[name].state, found[name].kind
		out.Groups = append(out.Groups, g)
	}
	return out
}

// newLowerCaseSet is what a list names, whatever the case of its letters.
func newLowerCaseSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[strings.ToLower(s)] = true
	}
	return set
}

// listSummaries returns the groups of the slots held: those with members from
// memory, the rest from the state. Groups that no broker holds at the moment
// are missed by everybody: loading, so that a client asks again.
func (c *Coordinator) listSummaries() (found map[string]summary, loading bool) {
	found = map[string]summary{}
	live := map[string]summary{}
	var held, left [metadata.GroupSlots]metadata.RoleEpoch
	c.mu.Lock()
	left = c.releasedEpochs
	for slot, h := range c.ownedSlots {
		switch {
		case h == nil:
		case !h.ready:
			loading = true
		default:
			held[slot] = h.epoch
			for name, g := range h.groups {
				live[name] = *g.summary.Load()
			}
		}
	}
	c.mu.Unlock()
	c.cfg.Replica.View(func(s *metadata.State) {
		for slot := range held {
			if held[slot] != 0 && s.RoleEpoch(SlotRole(metadata.Slot(slot))) > held[slot] {
				held[slot] = 0 // lost, and not yet noticed
			}
		}
		ours := func(name string) bool {
			slot := metadata.GroupSlot(name)
			if held[slot] != 0 {
				return true
			}
			_, elsewhere := SlotOwner(s, slot)
			loading = loading || !elsewhere || left[slot] != 0 && s.RoleEpoch(SlotRole(slot)) <= left[slot]
			return false
		}
		for _, name := range s.Groups() {
			if !ours(name) {
				continue
			}
			found[name] = summary{state: stateEmpty.String(), kind: groupTypeClassic}
			switch v, _ := s.Group(name); {
			case v.Group != nil:
				found[name] = summary{stateEmpty.String(), v.Group.ProtocolType, groupTypeClassic}
			case v.Consumer != nil:
				found[name] = summary{stateEmpty.String(), protocolTypeConsumer, groupTypeConsumer}
			}
		}
	})
	for name, l := range live {
		_, stored := found[name]
		if held[metadata.GroupSlot(name)] != 0 && (stored || l.state != stateEmpty.String()) {
			found[name] = l
		}
	}
	return found, loading
}

// Delete answers DeleteGroups, versions 0 to 2: a group with members is 68,
// one that is not known 69.
func (c *Coordinator) Delete(ctx context.Context, _ Client, r *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	out := kmsg.NewPtrDeleteGroupsResponse()
	out.Version = r.Version
	named := make(map[string]bool, len(r.Groups))
	barrier := sync.OnceValue(func() int16 { return c.barrier(ctx) })
	for _, name := range r.Groups {
		if named[name] {
			continue // answered once
		}
		if ctx.Err() != nil {
			break
		}
		named[name] = true
		g := kmsg.NewDeleteGroupsResponseGroup()
		g.Group, g.ErrorCode = name, c.deleteGroup(ctx, name, barrier)
		out.Groups = append(out.Groups, g)
	}
	return out
}

func (c *Coordinator) deleteGroup(ctx context.Context, name string, barrier func() int16) int16 {
	if _, code := c.findOwnedSlot(metadata.GroupSlot(name)); code != noError {
		return code
	}
	known := false
	c.cfg.Replica.View(func(s *metadata.State) { known = s.HasGroup(name) })
	g, code := c.acquireGroup(name, known)
	if g == nil {
		if code == noError {
			code = pickCode(barrier() == noError, kerr.GroupIDNotFound.Code, kerr.NotCoordinator.Code)
		}
		return code
	}
	defer c.releaseGroup(g)
	return c.writeGuarded(ctx, g, func() (metadata.Command, int16) {
		if !g.isEmpty() {
			return nil, kerr.NonEmptyGroup.Code
		}
		return metadata.DeleteGroup{Epoch: g.slot.epoch, Name: name}, noError
	}, func(code int16) {
		if code == noError && g.isEmpty() {
			g.classic, g.consumer = newClassicGroup(g.name, c.limits), nil
		}
	})
}

// writeGuarded checks a group in its goroutine, then writes the command that the
// check made, if any. It keeps its place among the group's own writes: those
// asked for before are done before the check, later ones wait until it is
// resolved. after runs in the goroutine with what became of it.
func (c *Coordinator) writeGuarded(ctx context.Context, g *group, check func() (metadata.Command, int16), after func(int16)) int16 {
	var cmd metadata.Command
	code := callGroup(ctx, g, kerr.NotCoordinator.Code, func(_ time.Time, reply func(int16)) {
		g.deferred = append(g.deferred, func(time.Time) {
			var code int16
			if cmd, code = check(); cmd != nil {
				g.openCommits++
			}
			reply(code)
		})
	}, nil)
	if cmd == nil || code != noError {
		return code
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.WriteTimeout)
	defer cancel()
	out, err := c.cfg.Writer.Submit(ctx, []metadata.Command{cmd}, nil)
	code = c.resolveWrite(g.slot, out, err)
	g.post(func(time.Time) {
		g.openCommits--
		after(code)
	})
	return code
}
