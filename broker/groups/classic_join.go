package groups

import (
	"bytes"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// joinRequest is a JoinGroup that passed the checks which need no group.
type joinRequest struct {
	id, instance, newID              string // newID is used if the member needs an id
	clientID, clientHost             string
	protocolType                     string
	protocols                        []metadata.GroupProtocol
	sessionTimeout, rebalanceTimeout time.Duration
	needsID                          bool // KIP-394: a new member gets its id first
	skipAssignment                   bool // KIP-814: the client supports SkipAssignment
	call                             *parkedJoin
}

func (a *joinRequest) replyError(code int16, id string) {
	a.call.reply(joinResult{code: code, generation: noGeneration, id: id})
}

// newMember returns a member with the request's description.
func (a *joinRequest) newMember(id string) *classicGroupMember {
	return &classicGroupMember{id: id, instance: a.instance, clientID: a.clientID, clientHost: a.clientHost,
		sessionTimeout: a.sessionTimeout, rebalanceTimeout: a.rebalanceTimeout, protocols: a.protocols}
}

// handleJoin handles a JoinGroup. It completes now, or is parked.
func (m *classicGroup) handleJoin(now time.Time, a *joinRequest) {
	known := m.findMember(a)
	if code := m.checkCapacity(a, known); code != noError {
		a.replyError(code, a.id)
		return
	}
	if !m.supportsProtocols(a) {
		a.replyError(kerr.InconsistentGroupProtocol.Code, a.id)
		return
	}
	if known == nil && !m.fitsRecord(a) {
		// Only the new member fails: with it the group could not be written.
		a.replyError(kerr.MessageTooLarge.Code, a.id)
		return
	}
	if a.id == "" {
		m.joinNewMember(now, a)
	} else {
		m.joinKnownMember(now, a)
	}
}

// findMember returns the member that sent the request, by its id or its
// instance id; nil for a new member.
func (m *classicGroup) findMember(a *joinRequest) *classicGroupMember {
	if mem := m.members[a.id]; mem != nil || a.instance == "" {
		return mem
	}
	return m.members[m.instances[a.instance]]
}

// checkCapacity returns the error code if the group has no room. It is
// retriable, since members leave, except for a new member beyond
// group.max.size.
func (m *classicGroup) checkCapacity(a *joinRequest, known *classicGroupMember) int16 {
	had := 0
	if known != nil {
		had = classicMemberBytes(known)
	}
	if m.bytes-had+classicMemberBytes(a.newMember(a.newID)) > m.limits.maxGroupBytes {
		return kerr.CoordinatorLoadInProgress.Code
	}
	_, promised := m.promisedIDs[a.id]
	if known == nil && !promised && len(m.members)+len(m.promisedIDs) >= m.limits.maxClassicMembers {
		return kerr.GroupMaxSizeReached.Code
	}
	return noError
}

// supportsProtocols reports whether the member has the group's protocol type,
// and a protocol that all members support.
func (m *classicGroup) supportsProtocols(a *joinRequest) bool {
	if a.protocolType == "" || len(a.protocols) == 0 {
		return false
	}
	if len(m.members) == 0 {
		return true
	}
	if a.protocolType != m.protocolType {
		return false
	}
	if len(m.members) == 1 && (m.members[a.id] != nil || a.instance != "" && m.instances[a.instance] != "") {
		return true // it replaces the only member
	}
	for i := range a.protocols {
		if m.totals.protocols[a.protocols[i].Name].members == len(m.members) {
			return true
		}
	}
	return false
}

func (m *classicGroup) joinNewMember(now time.Time, a *joinRequest) {
	if a.instance != "" {
		if old, ok := m.instances[a.instance]; ok {
			m.replaceStatic(now, m.members[old], a)
			return
		}
		m.addNewMember(now, a, a.newID)
		return
	}
	if a.needsID {
		m.promisedIDs[a.newID] = now.Add(a.sessionTimeout)
		m.scheduleDeadline(now.Add(a.sessionTimeout))
		a.replyError(kerr.MemberIDRequired.Code, a.newID)
		return
	}
	m.addNewMember(now, a, a.newID)
}

func (m *classicGroup) joinKnownMember(now time.Time, a *joinRequest) {
	if _, promised := m.promisedIDs[a.id]; promised && a.instance == "" {
		delete(m.promisedIDs, a.id)
		m.addNewMember(now, a, a.id)
		return
	}
	mem, code := m.identifyMember(a.id, a.instance)
	if code != noError {
		a.replyError(code, a.id)
		return
	}
	same := haveSameProtocols(mem.protocols, a.protocols)
	switch {
	case m.state == stateCompleting && same, m.state == stateStable && same && mem.id != m.leader:
		// It lost the response, or wants the current state.
		m.restartSession(now, mem)
		a.call.reply(m.newJoinResult(mem))
	default:
		m.updateMember(mem, a)
		m.prepareRebalance(now)
	}
}

// identifyMember finds a member and checks its instance id.
func (m *classicGroup) identifyMember(id, instance string) (*classicGroupMember, int16) {
	if instance != "" {
		switch owner, ok := m.instances[instance]; {
		case !ok:
			return nil, kerr.UnknownMemberID.Code
		case owner != id:
			return nil, kerr.FencedInstanceID.Code
		}
	}
	if mem := m.members[id]; mem != nil {
		return mem, noError
	}
	return nil, kerr.UnknownMemberID.Code
}

func haveSameProtocols(a, b []metadata.GroupProtocol) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || !bytes.Equal(a[i].Metadata, b[i].Metadata) {
			return false
		}
	}
	return true
}

// newJoinResult returns the response for a member of the current generation.
func (m *classicGroup) newJoinResult(mem *classicGroupMember) joinResult {
	r := joinResult{generation: m.generation, protocolType: m.protocolType, protocol: m.protocol,
		leader: m.leader, id: mem.id}
	if mem.id == m.leader && m.state == stateCompleting {
		r.members = m.listLeaderMembers()
	}
	return r
}

func (m *classicGroup) listLeaderMembers() []joinedMember {
	out := make([]joinedMember, 0, len(m.members))
	for _, mem := range m.membersByArrival() {
		out = append(out, joinedMember{mem.id, mem.instance, mem.findMetadata(m.protocol)})
	}
	return out
}

// addNewMember adds a new member and starts a rebalance.
func (m *classicGroup) addNewMember(now time.Time, a *joinRequest, id string) {
	mem := a.newMember(id)
	mem.neverToldID = a.id == ""
	if len(m.members) == 0 {
		m.protocolType = a.protocolType
	}
	m.addMember(mem)
	m.parkJoin(mem, a.call)
	if m.state == statePreparing && m.generation == 0 {
		m.joinedInDelay = true
	}
	m.prepareRebalance(now)
}

// updateMember updates a member's description.
func (m *classicGroup) updateMember(mem *classicGroupMember, a *joinRequest) {
	m.adjustTotals(mem, -1)
	mem.protocols, mem.sessionTimeout, mem.rebalanceTimeout = a.protocols, a.sessionTimeout, a.rebalanceTimeout
	mem.clientID, mem.clientHost = a.clientID, a.clientHost
	m.adjustTotals(mem, 1)
	if len(m.members) == 1 {
		m.protocolType = a.protocolType
	}
	m.parkJoin(mem, a.call)
}

// parkJoin keeps a JoinGroup until the generation is complete. A member has at
// most one: an older one belongs to an abandoned connection.
func (m *classicGroup) parkJoin(mem *classicGroupMember, call *parkedJoin) {
	m.replyJoin(mem, joinResult{code: kerr.RebalanceInProgress.Code, generation: noGeneration, id: mem.id})
	mem.parkedJoin = call
	m.parkedJoins++
}

// dropJoin forgets a parked JoinGroup whose connection is closed. The member
// can return within its session timeout; a member that never received its id
// cannot, and is removed.
func (m *classicGroup) dropJoin(now time.Time, call *parkedJoin) {
	for _, mem := range m.members {
		if mem.parkedJoin != call {
			continue
		}
		mem.parkedJoin = nil
		m.parkedJoins--
		if mem.neverToldID && mem.instance == "" {
			m.removeMember(mem, kerr.UnknownMemberID.Code)
			m.rebalanceAfterLoss(now)
			return
		}
		m.restartSession(now, mem)
		return
	}
}

// dropSync forgets a parked SyncGroup whose connection is closed.
func (m *classicGroup) dropSync(now time.Time, call *parkedSync) {
	for _, mem := range m.members {
		if mem.parkedSync == call {
			mem.parkedSync = nil
			m.restartSession(now, mem)
			return
		}
	}
}
