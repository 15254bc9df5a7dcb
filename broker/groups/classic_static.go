package groups

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// replaceStatic gives a static member that came back without its id a new
// one. In a stable group whose protocol stays that is all (KIP-345): the
// group is written, and the member goes on with the old assignment.
func (m *classicGroup) replaceStatic(now time.Time, mem *classicGroupMember, a *joinRequest) {
	oldLeader := m.leader
	led := oldLeader == mem.id
	// Who spoke for the instance until now learns that it is fenced.
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

// replyAfterWrite answers a static member that goes on as before, once its
// new id is stored.
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
			// An older client that reads its own id here would assign anew:
			// let it follow.
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
