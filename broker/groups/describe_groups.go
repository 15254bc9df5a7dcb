package groups

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Describe handles DescribeGroups, versions 0 to 6. An unknown group is "Dead"
// without an error up to version 5, GROUP_ID_NOT_FOUND from version 6.
// Authorized operations, if requested, are those of a cluster without an
// authorizer.
func (c *Coordinator) Describe(ctx context.Context, _ Client, r *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	out := kmsg.NewPtrDescribeGroupsResponse()
	out.Version = r.Version
	out.Groups = make([]kmsg.DescribeGroupsResponseGroup, 0, len(r.Groups))
	barrier := sync.OnceValue(func() int16 { return c.barrier(ctx) })
	size := 0
	for _, name := range r.Groups {
		if ctx.Err() != nil {
			break
		}
		if size > maxDescribedBytes {
			g := kmsg.NewDescribeGroupsResponseGroup()
			g.Group, g.ErrorCode, g.AuthorizedOperations = name, kerr.CoordinatorLoadInProgress.Code, noAuthorizedOperations
			out.Groups = append(out.Groups, g)
			continue
		}
		g := c.describeGroup(ctx, name, r.Version, barrier)
		for i := range g.Members {
			size += 200 + len(g.Members[i].ProtocolMetadata) + len(g.Members[i].MemberAssignment)
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
				return false // it has no members; the state knows whether it has offsets
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
	// The state was current only if the slot is still ours after the barrier.
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

// maxDescribedBytes bounds the members in one response: further groups get
// COORDINATOR_LOAD_IN_PROGRESS, and clients retry.
const maxDescribedBytes = 32 << 20

// newNotClassicResponse is the response for a group that is not a classic
// group.
func newNotClassicResponse(out kmsg.DescribeGroupsResponseGroup, version int16, message string) kmsg.DescribeGroupsResponseGroup {
	out.State = stateNameDead
	if version >= 6 {
		out.ErrorCode, out.ErrorMessage = kerr.GroupIDNotFound.Code, &message
	}
	return out
}

// fillDescription fills the response in. Members' metadata is shown for a
// stable group only: before, there is no chosen protocol.
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
