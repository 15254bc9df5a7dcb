package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Join handles JoinGroup, versions 0 to 9. It waits until the generation is
// complete, which may take the members' rebalance timeout. From version 4 a new
// dynamic member first gets its id (MEMBER_ID_REQUIRED, KIP-394); version 5 has
// static members (KIP-345), version 9 SkipAssignment (KIP-814).
func (c *Coordinator) Join(ctx context.Context, from Client, r *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	session := time.Duration(r.SessionTimeoutMillis) * time.Millisecond
	if r.Group == "" {
		return newJoinResponse(r, joinResult{code: kerr.InvalidGroupID.Code, id: r.MemberID, generation: noGeneration})
	}
	if session < c.cfg.MinSessionTimeout || session > c.cfg.MaxSessionTimeout {
		return newJoinResponse(r, joinResult{code: kerr.InvalidSessionTimeout.Code, id: r.MemberID, generation: noGeneration})
	}
	if len(r.Protocols) > maxProtocols {
		return newJoinResponse(r, joinResult{code: kerr.InvalidRequest.Code, id: r.MemberID, generation: noGeneration})
	}
	// Only a new member creates a group: a member id comes from an existing one.
	g, code := c.acquireGroup(r.Group, r.MemberID == "")
	if g == nil {
		return newJoinResponse(r, joinResult{code: unknownMemberIfOK(code), id: r.MemberID, generation: noGeneration})
	}
	defer c.releaseGroup(g)
	reserved := c.reserveMemory(estimateJoinBytes(r), r.Group)
	if reserved == nil {
		return newJoinResponse(r, joinResult{code: kerr.CoordinatorLoadInProgress.Code, id: r.MemberID, generation: noGeneration})
	}
	defer reserved.release()
	join := c.newJoinRequest(from, r, session)
	r.Protocols = nil // copied: releases the request's bytes while it waits
	gone := joinResult{code: kerr.NotCoordinator.Code, id: r.MemberID, generation: noGeneration}
	out := callGroup(ctx, g, gone, func(now time.Time, reply func(joinResult)) {
		join.call = &parkedJoin{reply}
		g.handleJoin(now, join)
		g.updatePoolUse()
		reserved.release()
	}, func(now time.Time) { g.classic.dropJoin(now, join.call) })
	if out.code == kerr.MessageTooLarge.Code {
		c.logLimit("member rejected: its group would not fit one log entry", "group", r.Group, "client", from.ID,
			"bytes", maxStoredBytes)
	}
	return newJoinResponse(r, out)
}

func (c *Coordinator) newJoinRequest(from Client, r *kmsg.JoinGroupRequest, session time.Duration) *joinRequest {
	a := &joinRequest{id: r.MemberID, clientID: from.ID, clientHost: from.Host, protocolType: r.ProtocolType,
		sessionTimeout: session, rebalanceTimeout: time.Duration(r.RebalanceTimeoutMillis) * time.Millisecond,
		needsID: r.Version >= 4, skipAssignment: r.Version >= 9}
	if r.Version < 1 {
		a.rebalanceTimeout = session // it has no rebalance timeout
	}
	if r.InstanceID != nil {
		a.instance = *r.InstanceID
	}
	if a.id == "" && a.instance != "" {
		a.newID = c.newMemberID(a.instance)
	} else if a.id == "" {
		a.newID = c.newMemberID(from.ID)
	}
	for _, p := range r.Protocols {
		// The metadata is opaque: some clients send bytes that no schema describes.
		// It is copied because the request's buffer is reused.
		a.protocols = append(a.protocols, metadata.GroupProtocol{Name: p.Name, Metadata: append([]byte{}, p.Metadata...)})
	}
	return a
}

func unknownMemberIfOK(code int16) int16 {
	if code == noError {
		return kerr.UnknownMemberID.Code
	}
	return code
}

func newJoinResponse(r *kmsg.JoinGroupRequest, j joinResult) *kmsg.JoinGroupResponse {
	out := kmsg.NewPtrJoinGroupResponse()
	out.Version, out.ErrorCode, out.Generation = r.Version, j.code, j.generation
	out.LeaderID, out.MemberID, out.SkipAssignment = j.leader, j.id, j.skipAssignment
	if j.code == noError {
		out.ProtocolType, out.Protocol = &j.protocolType, &j.protocol
	} else if r.Version < 7 {
		out.Protocol = new(string)
	}
	for i := range j.members {
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID, m.ProtocolMetadata = j.members[i].id, j.members[i].metadata
		m.InstanceID = nullableText(j.members[i].instance)
		out.Members = append(out.Members, m)
	}
	return out
}

func nullableText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func textOrEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Sync handles SyncGroup, versions 0 to 5. It waits for the leader's assignment
// and for its write; it never succeeds without one. Version 5 checks the
// protocol's type and name (KIP-559). Clients do not handle
// COORDINATOR_LOAD_IN_PROGRESS here (the Java consumer fails): they get
// COORDINATOR_NOT_AVAILABLE, and rejoin.
func (c *Coordinator) Sync(ctx context.Context, _ Client, r *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	a := &syncRequest{id: r.MemberID, instance: textOrEmpty(r.InstanceID), generation: r.Generation}
	if r.Version >= 5 {
		a.protocolType, a.protocol = r.ProtocolType, r.Protocol
	}
	if r.Version >= 5 && (r.ProtocolType == nil || r.Protocol == nil) {
		return newSyncResponse(r, syncResult{code: kerr.InconsistentGroupProtocol.Code}) // mandatory from version 5 on
	}
	g, code := c.acquireMemberGroup(r.Group)
	if g == nil {
		return newSyncResponse(r, syncResult{code: code})
	}
	defer c.releaseGroup(g)
	reserved := c.reserveMemory(estimateSyncBytes(r), r.Group)
	if reserved == nil {
		return newSyncResponse(r, syncResult{code: kerr.CoordinatorLoadInProgress.Code})
	}
	defer reserved.release()
	a.assignments = make(map[string][]byte, len(r.GroupAssignment))
	for i := range r.GroupAssignment {
		p := &r.GroupAssignment[i]
		a.assignments[p.MemberID] = append([]byte{}, p.MemberAssignment...)
	}
	r.GroupAssignment = nil // copied: releases the request's bytes while it waits
	return newSyncResponse(r, callGroup(ctx, g, syncResult{code: kerr.NotCoordinator.Code}, func(now time.Time, reply func(syncResult)) {
		a.call = &parkedSync{reply}
		if g.consumer != nil {
			g.consumer.handleClassicSync(now, a)
		} else {
			g.classic.handleSync(now, a)
		}
		a.assignments = nil
		g.updatePoolUse()
		reserved.release()
	}, func(now time.Time) { g.classic.dropSync(now, a.call) }))
}

// acquireMemberGroup returns the group for a request that only members send.
func (c *Coordinator) acquireMemberGroup(name string) (*group, int16) {
	if name == "" {
		return nil, kerr.InvalidGroupID.Code
	}
	g, code := c.acquireGroup(name, false)
	return g, unknownMemberIfOK(code)
}

func newSyncResponse(r *kmsg.SyncGroupRequest, s syncResult) *kmsg.SyncGroupResponse {
	out := kmsg.NewPtrSyncGroupResponse()
	out.Version, out.ErrorCode, out.MemberAssignment = r.Version, s.code, s.assignment
	if s.code == kerr.CoordinatorLoadInProgress.Code {
		out.ErrorCode = kerr.CoordinatorNotAvailable.Code
	}
	if out.MemberAssignment == nil {
		out.MemberAssignment = []byte{}
	}
	if s.code == noError {
		out.ProtocolType, out.Protocol = &s.protocolType, &s.protocol
	}
	return out
}

// Heartbeat handles Heartbeat, versions 0 to 4: REBALANCE_IN_PROGRESS makes a
// member rejoin. While the group is loaded the response is NONE, as in Kafka:
// clients do not handle COORDINATOR_LOAD_IN_PROGRESS here.
func (c *Coordinator) Heartbeat(ctx context.Context, _ Client, r *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	out := kmsg.NewPtrHeartbeatResponse()
	out.Version = r.Version
	g, code := c.acquireMemberGroup(r.Group)
	if g == nil {
		out.ErrorCode = pickCode(code == kerr.CoordinatorLoadInProgress.Code, noError, code)
		return out
	}
	defer c.releaseGroup(g)
	out.ErrorCode = queryGroup(ctx, g, kerr.NotCoordinator.Code, func(at time.Time) int16 {
		if g.consumer != nil {
			return g.consumer.handleClassicHeartbeat(at, r.MemberID, textOrEmpty(r.InstanceID), r.Generation)
		}
		return g.classic.handleHeartbeat(at, r.MemberID, textOrEmpty(r.InstanceID), r.Generation)
	})
	return out
}

// Leave handles LeaveGroup, versions 0 to 5: one member up to version 2, then
// many with an error code each; reasons (KIP-800) are logged.
func (c *Coordinator) Leave(ctx context.Context, from Client, r *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	out := kmsg.NewPtrLeaveGroupResponse()
	out.Version = r.Version
	members := r.Members
	if r.Version < 3 {
		members = []kmsg.LeaveGroupRequestMember{{MemberID: r.MemberID}}
	}
	codes, code := c.leaveMembers(ctx, r.Group, members)
	if code != noError {
		out.ErrorCode = code
		return out
	}
	if r.Version < 3 {
		out.ErrorCode = codes[0]
		return out
	}
	for i := range members {
		m := kmsg.NewLeaveGroupResponseMember()
		m.MemberID, m.InstanceID, m.ErrorCode = members[i].MemberID, members[i].InstanceID, codes[i]
		out.Members = append(out.Members, m)
		c.cfg.Log.Debug("member leaves", "group", r.Group, "member", m.MemberID, "code", m.ErrorCode,
			"reason", textOrEmpty(members[i].Reason), "client", from.ID)
	}
	return out
}

func (c *Coordinator) leaveMembers(ctx context.Context, name string, members []kmsg.LeaveGroupRequestMember) ([]int16, int16) {
	g, code := c.acquireMemberGroup(name)
	if g == nil && code != kerr.UnknownMemberID.Code {
		return nil, code
	}
	codes := make([]int16, len(members))
	if g == nil {
		for i := range codes {
			codes[i] = kerr.UnknownMemberID.Code
		}
		return codes, noError
	}
	defer c.releaseGroup(g)
	done := queryGroup(ctx, g, false, func(at time.Time) bool {
		for i := range members {
			if g.consumer != nil {
				codes[i] = g.consumer.handleLeave(at, members[i].MemberID, textOrEmpty(members[i].InstanceID))
				continue
			}
			codes[i] = g.classic.handleLeave(at, members[i].MemberID, textOrEmpty(members[i].InstanceID))
		}
		return true
	})
	if !done {
		return nil, kerr.NotCoordinator.Code
	}
	return codes, noError
}
