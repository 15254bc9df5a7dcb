package groups

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// replaceStatic gives a new id to a static member that returned without its id.
// In a stable group whose protocol does not change nothing else happens
// (KIP-345): the group is written, and the member continues with its
// assignment.
func (m *classicGroup) replaceStatic(now time.Time, mem *classicGroupMember, a *joinRequest) {
	oldLeader := m.leader
	led := oldLeader == mem.id
	// The previous process of this instance is fenced.
	m.replyJoin(mem, joinResult{code: kerr.FencedInstanceID.Code, generation: noGeneration, id: mem.id})
	m.replySync(mem, syncResult{code: kerr.FencedInstanceID.Code})
	m.adjustTotals(mem, -1)
	delete(m.members, mem.id)
	mem.id = a.newID
	m.members[mem.id], m.instances[mem.instance] = mem, mem.id
	m.adjustTotals(mem, 1)
	if led {
		m.leader = mem.id
	}
	m.restartSession(now, mem)
	m.updateMember(mem, a)
	if m.state != stateStable || m.chooseProtocol() != m.protocol {
		m.prepareRebalance(now)
		return
	}
	m.replyAfterWrite(mem, a, oldLeader)
}

// replyAfterWrite completes the JoinGroup of a static member that continues as
// before, once its new id is written.
func (m *classicGroup) replyAfterWrite(mem *classicGroupMember, a *joinRequest, oldLeader string) {
	call, id := mem.parkedJoin, mem.id
	mem.parkedJoin = nil
	m.parkedJoins--
	r := joinResult{generation: m.generation, protocolType: m.protocolType, protocol: m.protocol,
		leader: m.leader, id: id}
	if m.leader == id {
		if a.skipAssignment {
			r.members, r.skipAssignment = m.listLeaderMembers(), true
		} else {
			// An older client that finds its own id here would compute a new
			// assignment: it becomes a follower.
			r.leader = oldLeader
		}
	}
	m.queueWrite(func(_ time.Time, code int16) {
		if code != noError {
			r = joinResult{code: code, generation: noGeneration}
		}
		call.reply(r)
	})
}
