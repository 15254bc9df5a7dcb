package groups

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// syncRequest is a SyncGroup.
type syncRequest struct {
	id, instance           string
	generation             int32
	protocolType, protocol *string // KIP-559; nil: not in the request
	assignments            map[string][]byte
	call                   *parkedSync
}

// handleSync handles a SyncGroup. It waits until the assignment is written, or
// completes with an error.
func (m *classicGroup) handleSync(now time.Time, a *syncRequest) {
	mem, code := m.identifyMember(a.id, a.instance)
	switch {
	case code != noError:
	case a.generation != m.generation:
		code = kerr.IllegalGeneration.Code
	case a.protocolType != nil && *a.protocolType != m.protocolType, a.protocol != nil && *a.protocol != m.protocol:
		code = kerr.InconsistentGroupProtocol.Code
	case m.state == statePreparing:
		code = kerr.RebalanceInProgress.Code
	case m.state == stateEmpty:
		code = kerr.UnknownMemberID.Code
	}
	if code != noError {
		a.call.reply(syncResult{code: code})
		return
	}
	m.restartSession(now, mem)
	if m.state == stateStable {
		mem.synced = true
		a.call.reply(m.newSyncResult(mem))
		return
	}
	m.replySync(mem, syncResult{code: kerr.RebalanceInProgress.Code}) // an abandoned connection
	mem.parkedSync = a.call
	assigning := mem.id == m.leader && !mem.synced
	mem.synced = true
	if assigning {
		m.storeAssignments(now, a.assignments)
	}
}

func (m *classicGroup) newSyncResult(mem *classicGroupMember) syncResult {
	return syncResult{protocolType: m.protocolType, protocol: m.protocol, assignment: mem.assignment}
}

// storeAssignments takes the leader's assignment and writes it; then all parked
// SyncGroups complete. A member without an assignment gets empty bytes.
func (m *classicGroup) storeAssignments(now time.Time, parts map[string][]byte) {
	for id, mem := range m.members {
		if m.setAssignment(mem, parts[id]); mem.assignment == nil {
			mem.assignment = []byte{}
		}
	}
	generation := m.generation
	m.queueWrite(func(now time.Time, code int16) {
		if m.state != stateCompleting || m.generation != generation {
			return
		}
		if code != noError {
			m.failAssignments(now, code)
			return
		}
		m.state = stateStable
		for _, mem := range m.membersByArrival() {
			if mem.parkedSync != nil {
				m.restartSession(now, mem)
				m.replySync(mem, m.newSyncResult(mem))
			}
		}
	})
}

// failAssignments abandons a generation that could not be written. Only the
// leader gets an error that says it was too large (in Kafka all get
// UNKNOWN_SERVER_ERROR): the others could do nothing about it.
func (m *classicGroup) failAssignments(now time.Time, code int16) {
	if leader := m.members[m.leader]; leader != nil && code == kerr.MessageTooLarge.Code {
		m.restartSession(now, leader)
		m.replySync(leader, syncResult{code: code})
		code = kerr.RebalanceInProgress.Code
	}
	m.failSyncs(now, code)
	m.prepareRebalance(now)
}

// handleHeartbeat handles a Heartbeat.
func (m *classicGroup) handleHeartbeat(now time.Time, id, instance string, generation int32) int16 {
	mem, code := m.identifyMember(id, instance)
	switch {
	case code != noError:
		return code
	case generation != m.generation:
		return kerr.IllegalGeneration.Code
	}
	m.restartSession(now, mem)
	if m.state == statePreparing {
		return kerr.RebalanceInProgress.Code
	}
	return noError
}

// handleLeave removes one member: by its id, or a static one by its instance id
// alone (admin tools).
func (m *classicGroup) handleLeave(now time.Time, id, instance string) int16 {
	if _, promised := m.promisedIDs[id]; promised && instance == "" {
		delete(m.promisedIDs, id)
		m.tryCompleteJoin(now)
		return noError
	}
	if id == "" && instance != "" {
		id = m.instances[instance]
	}
	mem, code := m.identifyMember(id, instance)
	if code != noError {
		return code
	}
	m.removeMember(mem, kerr.UnknownMemberID.Code)
	m.rebalanceAfterLoss(now)
	return noError
}

// checkCommit checks the sender and generation of an OffsetCommit.
func (m *classicGroup) checkCommit(now time.Time, id, instance string, generation int32) int16 {
	if generation < 0 && m.state == stateEmpty {
		return noError // a client that assigns itself
	}
	if generation < 0 && id == "" && instance == "" {
		return kerr.UnknownMemberID.Code
	}
	mem, code := m.identifyMember(id, instance)
	switch {
	case code != noError:
		return code
	case generation != m.generation:
		return kerr.IllegalGeneration.Code
	case m.state == stateCompleting:
		return kerr.RebalanceInProgress.Code
	}
	m.restartSession(now, mem)
	return noError
}
