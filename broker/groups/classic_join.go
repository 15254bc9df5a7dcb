package groups

import (
	"bytes"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// joinRequest is a JoinGroup, checked for what needs no group.
type joinRequest struct {
	id, instance, newID              string // newID is taken if the member needs one
	clientID, clientHost             string
	protocolType                     string
	protocols                        []metadata.GroupProtocol
	sessionTimeout, rebalanceTimeout time.Duration
	needsID                          bool // KIP-394: a newcomer is told its id first
	skipAssignment                   bool // KIP-814: understands that it leads without assigning
	call                             *parkedJoin
}

func (a *joinRequest) replyError(code int16, id string) {
	a.call.reply(joinResult{code: code, generation: noGeneration, id: id})
}

// newMember returns a member as the request describes it.
func (a *joinRequest) newMember(id string) *classicGroupMember {
	return &classicGroupMember{id: id, instance: a.instance, clientID: a.clientID, clientHost: a.clientHost,
		sessionTimeout: a.sessionTimeout, rebalanceTimeout: a.rebalanceTimeout, protocols: a.protocols}
}

// handleJoin handles a JoinGroup. The call is answered now, or parked.
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
		// It is told, and the others go on: with it none of them could.
		a.replyError(kerr.MessageTooLarge.Code, a.id)
		return
	}
	if a.id == "" {
		m.joinNewMember(now, a)
	} else {
		m.joinKnownMember(now, a)
	}
}

// findMember is the member that asks, by its id or its instance; nil: a newcomer.
func (m *classicGroup) findMember(a *joinRequest) *classicGroupMember {
	if mem := m.members[a.id]; mem != nil || a.instance == "" {
		return mem
	}
	return m.members[m.instances[a.instance]]
}

// checkCapacity says why the group has no room for who asks: members go, so that there
// may be some later, but for a newcomer beyond group.max.size.
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

// supportsProtocols reports whether the member could take part: the group's protocol
// type, and one protocol that all members speak.
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
		return true // it replaces the only one there is
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
		// It did not get the answer, or comes to hear how things stand.
		m.restartSession(now, mem)
		a.call.reply(m.newJoinResult(mem))
	default:
		m.updateMember(mem, a)
		m.prepareRebalance(now)
	}
}

// identifyMember finds a member and checks that it is the one it says it is.
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

// newJoinResult is what a member of the present generation is told by JoinGroup.
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

// addNewMember takes a new member in.
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

// updateMember takes what a member now says of itself.
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

// parkJoin keeps a join until the generation is made. A member has one: an older
// one is a connection that was given up.
func (m *classicGroup) parkJoin(mem *classicGroupMember, call *parkedJoin) {
	m.replyJoin(mem, joinResult{code: kerr.RebalanceInProgress.Code, generation: noGeneration, id: mem.id})
	mem.parkedJoin = call
	m.parkedJoins++
}

// dropJoin forgets a parked join whose connection is gone. The member has its
// session timeout to come back; one that never learnt its id cannot.
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

// dropSync forgets a parked sync whose connection is gone.
func (m *classicGroup) dropSync(now time.Time, call *parkedSync) {
	for _, mem := range m.members {
		if mem.parkedSync == call {
			mem.parkedSync = nil
			m.restartSession(now, mem)
			return
		}
	}
}
