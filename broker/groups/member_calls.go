package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Join answers JoinGroup, versions 0 to 9. It waits until the generation is
// made, which may take as long as the members' rebalance timeout. From
// version 4 a dynamic newcomer is given its id first (79, KIP-394); from 5
// there are static members (KIP-345); 9 can say SkipAssignment (KIP-814).
func (c *Coordinator) Join(ctx context.Context, from Client, r *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	session := time.Duration(r.SessionTimeoutMillis) * time.Millisecond
	if r.Group == "" {
		return joinResponse(r, joinResult{code: codeInvalidGroupID, id: r.MemberID, generation: noGeneration})
	}
	if session < c.cfg.MinSessionTimeout || session > c.cfg.MaxSessionTimeout {
		return joinResponse(r, joinResult{code: codeInvalidSession, id: r.MemberID, generation: noGeneration})
	}
	if len(r.Protocols) > maxProtocols {
		return joinResponse(r, joinResult{code: codeInvalidRequest, id: r.MemberID, generation: noGeneration})
	}
	// A group is made for a newcomer only: who says it has an id knows one.
	g, code := c.group(r.Group, r.MemberID == "")
	if g == nil {
		return joinResponse(r, joinResult{code: orUnknownMember(code), id: r.MemberID, generation: noGeneration})
	}
	defer c.unref(g)
	held := c.borrow(joinBytes(r), r.Group)
	if held == nil {
		return joinResponse(r, joinResult{code: codeLoadInProgress, id: r.MemberID, generation: noGeneration})
	}
	defer held.end()
	ask1 := c.joinAsk(from, r, session)
	r.Protocols = nil // copied; the request's bytes need not wait with it
	gone := joinResult{code: codeNotCoordinator, id: r.MemberID, generation: noGeneration}
	out := ask(ctx, g, gone, func(now time.Time, reply func(joinResult)) {
		ask1.call = &parkedJoin{reply}
		g.join(now, ask1)
		g.account()
		held.end()
	}, func(now time.Time) { g.m.dropJoin(now, ask1.call) })
	if out.code == codeMessageTooLarge {
		c.sayLimit("a member is turned away: with it a generation of its group is more than an entry holds", "group", r.Group, "client", from.ID,
			"bytes", maxStoredBytes)
	}
	return joinResponse(r, out)
}

func (c *Coordinator) joinAsk(from Client, r *kmsg.JoinGroupRequest, session time.Duration) *joinAsk {
	a := &joinAsk{id: r.MemberID, clientID: from.ID, clientHost: from.Host, protocolType: r.ProtocolType,
		session: session, rebalance: time.Duration(r.RebalanceTimeoutMillis) * time.Millisecond,
		needsID: r.Version >= 4, skipAssignment: r.Version >= 9}
	if r.Version < 1 {
		a.rebalance = session // it has no rebalance timeout
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
		// The bytes pass through as they are (reference, section 19, row 30);
		// the request's buffer may be used again.
		a.protocols = append(a.protocols, metadata.GroupProtocol{Name: p.Name, Metadata: append([]byte{}, p.Metadata...)})
	}
	return a
}

func orUnknownMember(code int16) int16 {
	if code == codeOK {
		return codeUnknownMember
	}
	return code
}

func joinResponse(r *kmsg.JoinGroupRequest, j joinResult) *kmsg.JoinGroupResponse {
	out := kmsg.NewPtrJoinGroupResponse()
	out.Version, out.ErrorCode, out.Generation = r.Version, j.code, j.generation
	out.LeaderID, out.MemberID, out.SkipAssignment = j.leader, j.id, j.skipAssignment
	if j.code == codeOK {
		out.ProtocolType, out.Protocol = &j.protocolType, &j.protocol
	} else if r.Version < 7 {
		out.Protocol = new(string)
	}
	for i := range j.members {
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID, m.ProtocolMetadata = j.members[i].id, j.members[i].metadata
		m.InstanceID = nullable(j.members[i].instance)
		out.Members = append(out.Members, m)
	}
	return out
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Sync answers SyncGroup, versions 0 to 5. It waits for the leader's
// assignment, and for that to be stored; it never answers OK without one.
// Version 5 checks protocol type and name (KIP-559). Clients take no
// COORDINATOR_LOAD_IN_PROGRESS from it (Java's ends its consumer): they get
// COORDINATOR_NOT_AVAILABLE, and join again.
func (c *Coordinator) Sync(ctx context.Context, _ Client, r *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	a := &syncAsk{id: r.MemberID, instance: text(r.InstanceID), generation: r.Generation}
	if r.Version >= 5 {
		a.protocolType, a.protocol = r.ProtocolType, r.Protocol
	}
	if r.Version >= 5 && (r.ProtocolType == nil || r.Protocol == nil) {
		return syncResponse(r, syncResult{code: codeInconsistentProtocol}) // mandatory from version 5 on
	}
	g, code := c.memberGroup(r.Group)
	if g == nil {
		return syncResponse(r, syncResult{code: code})
	}
	defer c.unref(g)
	held := c.borrow(syncBytes(r), r.Group)
	if held == nil {
		return syncResponse(r, syncResult{code: codeLoadInProgress})
	}
	defer held.end()
	a.assignments = make(map[string][]byte, len(r.GroupAssignment))
	for i := range r.GroupAssignment {
		p := &r.GroupAssignment[i]
		a.assignments[p.MemberID] = append([]byte{}, p.MemberAssignment...)
	}
	r.GroupAssignment = nil // copied; the request's bytes need not wait with it
	return syncResponse(r, ask(ctx, g, syncResult{code: codeNotCoordinator}, func(now time.Time, reply func(syncResult)) {
		a.call = &parkedSync{reply}
		if g.k != nil {
			g.k.sync(now, a)
		} else {
			g.m.sync(now, a)
		}
		a.assignments = nil
		g.account()
		held.end()
	}, func(now time.Time) { g.m.dropSync(now, a.call) }))
}

// memberGroup is the group for what only members ask.
func (c *Coordinator) memberGroup(name string) (*group, int16) {
	if name == "" {
		return nil, codeInvalidGroupID
	}
	g, code := c.group(name, false)
	return g, orUnknownMember(code)
}

func syncResponse(r *kmsg.SyncGroupRequest, s syncResult) *kmsg.SyncGroupResponse {
	out := kmsg.NewPtrSyncGroupResponse()
	out.Version, out.ErrorCode, out.MemberAssignment = r.Version, s.code, s.assignment
	if s.code == codeLoadInProgress {
		out.ErrorCode = codeNotAvailable
	}
	if out.MemberAssignment == nil {
		out.MemberAssignment = []byte{}
	}
	if s.code == codeOK {
		out.ProtocolType, out.Protocol = &s.protocolType, &s.protocol
	}
	return out
}

// Heartbeat answers Heartbeat, versions 0 to 4: 27 tells a member to join
// again. While the group is loaded members are told that all is well, as at
// Kafka: their clients know no COORDINATOR_LOAD_IN_PROGRESS here.
func (c *Coordinator) Heartbeat(ctx context.Context, _ Client, r *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	out := kmsg.NewPtrHeartbeatResponse()
	out.Version = r.Version
	g, code := c.memberGroup(r.Group)
	if g == nil {
		out.ErrorCode = pickCode(code == codeLoadInProgress, codeOK, code)
		return out
	}
	defer c.unref(g)
	out.ErrorCode = now(ctx, g, codeNotCoordinator, func(at time.Time) int16 {
		if g.k != nil {
			return g.k.heartbeat(at, r.MemberID, text(r.InstanceID), r.Generation)
		}
		return g.m.heartbeat(at, r.MemberID, text(r.InstanceID), r.Generation)
	})
	return out
}

// Leave answers LeaveGroup, versions 0 to 5: one member up to version 2, then
// many with an error each; reasons (KIP-800) go to the log.
func (c *Coordinator) Leave(ctx context.Context, from Client, r *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	out := kmsg.NewPtrLeaveGroupResponse()
	out.Version = r.Version
	members := r.Members
	if r.Version < 3 {
		members = []kmsg.LeaveGroupRequestMember{{MemberID: r.MemberID}}
	}
	codes, code := c.leave(ctx, r.Group, members)
	if code != codeOK {
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
			"reason", text(members[i].Reason), "client", from.ID)
	}
	return out
}

func (c *Coordinator) leave(ctx context.Context, name string, members []kmsg.LeaveGroupRequestMember) ([]int16, int16) {
	g, code := c.memberGroup(name)
	if g == nil && code != codeUnknownMember {
		return nil, code
	}
	codes := make([]int16, len(members))
	if g == nil {
		for i := range codes {
			codes[i] = codeUnknownMember
		}
		return codes, codeOK
	}
	defer c.unref(g)
	done := now(ctx, g, false, func(at time.Time) bool {
		for i := range members {
			if g.k != nil {
				codes[i] = g.k.leaveOne(at, members[i].MemberID, text(members[i].InstanceID))
				continue
			}
			codes[i] = g.m.leave(at, members[i].MemberID, text(members[i].InstanceID))
		}
		return true
	})
	if !done {
		return nil, codeNotCoordinator
	}
	return codes, codeOK
}
