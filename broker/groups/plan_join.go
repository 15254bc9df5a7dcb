package groups

import (
	"bytes"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// joinAsk is a JoinGroup, checked for what needs no group.
type joinAsk struct {
	id, instance, newID  string // newID is taken if the member needs one
	clientID, clientHost string
	protocolType         string
	protocols            []metadata.GroupProtocol
	session, rebalance   time.Duration
	needsID              bool // KIP-394: a newcomer is told its id first
	skipAssignment       bool // KIP-814: understands that it leads without assigning
	call                 *parkedJoin
}

func (a *joinAsk) refuse(code int16, id string) {
	a.call.reply(joinResult{code: code, generation: noGeneration, id: id})
}

// member returns a member as the request describes it.
func (a *joinAsk) member(id string) *member {
	return &member{id: id, instance: a.instance, clientID: a.clientID, clientHost: a.clientHost,
		session: a.session, rebalance: a.rebalance, protocols: a.protocols}
}

// join handles a JoinGroup. The call is answered now, or parked.
func (m *machine) join(now time.Time, a *joinAsk) {
	known := m.known(a)
	if code := m.admits(a, known); code != codeOK {
		a.refuse(code, a.id)
		return
	}
	if !m.speaks(a) {
		a.refuse(codeInconsistentProtocol, a.id)
		return
	}
	if known == nil && !m.fits(a) {
		// It is told, and the others go on: with it none of them could.
		a.refuse(codeMessageTooLarge, a.id)
		return
	}
	if a.id == "" {
		m.joinNew(now, a)
	} else {
		m.joinKnown(now, a)
	}
}

// known is the member that asks, by its id or its instance; nil: a newcomer.
func (m *machine) known(a *joinAsk) *member {
	if mem := m.members[a.id]; mem != nil || a.instance == "" {
		return mem
	}
	return m.members[m.instances[a.instance]]
}

// admits says why the group has no room for who asks: members go, so that there
// may be some later, but for a newcomer beyond group.max.size.
func (m *machine) admits(a *joinAsk, known *member) int16 {
	had := 0
	if known != nil {
		had = memberBytes(known)
	}
	if m.bytes-had+memberBytes(a.member(a.newID)) > m.limits.groupBytes {
		return codeLoadInProgress
	}
	_, promised := m.pending[a.id]
	if known == nil && !promised && len(m.members)+len(m.pending) >= m.limits.size {
		return codeGroupMaxSize
	}
	return codeOK
}

// speaks reports whether the member could take part: the group's protocol
// type, and one protocol that all members speak.
func (m *machine) speaks(a *joinAsk) bool {
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
		if m.sums.protocols[a.protocols[i].Name].members == len(m.members) {
			return true
		}
	}
	return false
}

func (m *machine) joinNew(now time.Time, a *joinAsk) {
	if a.instance != "" {
		if old, ok := m.instances[a.instance]; ok {
			m.replaceStatic(now, m.members[old], a)
			return
		}
		m.add(now, a, a.newID)
		return
	}
	if a.needsID {
		m.pending[a.newID] = now.Add(a.session)
		m.wake(now.Add(a.session))
		a.refuse(codeMemberIDRequired, a.newID)
		return
	}
	m.add(now, a, a.newID)
}

func (m *machine) joinKnown(now time.Time, a *joinAsk) {
	if _, promised := m.pending[a.id]; promised && a.instance == "" {
		delete(m.pending, a.id)
		m.add(now, a, a.id)
		return
	}
	mem, code := m.who(a.id, a.instance)
	if code != codeOK {
		a.refuse(code, a.id)
		return
	}
	same := sameProtocols(mem.protocols, a.protocols)
	switch {
	case m.state == stateCompleting && same, m.state == stateStable && same && mem.id != m.leader:
		// It did not get the answer, or comes to hear how things stand.
		m.touch(now, mem)
		a.call.reply(m.standing(mem))
	default:
		m.update(mem, a)
		m.prepare(now)
	}
}

// who finds a member and checks that it is the one it says it is.
func (m *machine) who(id, instance string) (*member, int16) {
	if instance != "" {
		switch owner, ok := m.instances[instance]; {
		case !ok:
			return nil, codeUnknownMember
		case owner != id:
			return nil, codeFencedInstance
		}
	}
	if mem := m.members[id]; mem != nil {
		return mem, codeOK
	}
	return nil, codeUnknownMember
}

func sameProtocols(a, b []metadata.GroupProtocol) bool {
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

// standing is what a member of the present generation is told by JoinGroup.
func (m *machine) standing(mem *member) joinResult {
	r := joinResult{generation: m.generation, protocolType: m.protocolType, protocol: m.protocol,
		leader: m.leader, id: mem.id}
	if mem.id == m.leader && m.state == stateCompleting {
		r.members = m.listForLeader()
	}
	return r
}

func (m *machine) listForLeader() []joinedMember {
	out := make([]joinedMember, 0, len(m.members))
	for _, mem := range m.inOrder() {
		out = append(out, joinedMember{mem.id, mem.instance, mem.metadataOf(m.protocol)})
	}
	return out
}

// add takes a new member in.
func (m *machine) add(now time.Time, a *joinAsk, id string) {
	mem := a.member(id)
	mem.unaware = a.id == ""
	if len(m.members) == 0 {
		m.protocolType = a.protocolType
	}
	m.enter(mem)
	m.park(mem, a.call)
	if m.state == statePreparing && m.generation == 0 {
		m.newcomer = true
	}
	m.prepare(now)
}

// update takes what a member now says of itself.
func (m *machine) update(mem *member, a *joinAsk) {
	m.count(mem, -1)
	mem.protocols, mem.session, mem.rebalance = a.protocols, a.session, a.rebalance
	mem.clientID, mem.clientHost = a.clientID, a.clientHost
	m.count(mem, 1)
	if len(m.members) == 1 {
		m.protocolType = a.protocolType
	}
	m.park(mem, a.call)
}

// park keeps a join until the generation is made. A member has one: an older
// one is a connection that was given up.
func (m *machine) park(mem *member, call *parkedJoin) {
	m.replyJoin(mem, joinResult{code: codeRebalance, generation: noGeneration, id: mem.id})
	mem.join = call
	m.waiting++
}

// replaceStatic gives a static member that came back without its id a new
// one. In a stable group whose protocol stays that is all (KIP-345): the
// group is written, and the member goes on with the old assignment.
func (m *machine) replaceStatic(now time.Time, mem *member, a *joinAsk) {
	oldLeader := m.leader
	led := oldLeader == mem.id
	// Who spoke for the instance until now learns that it is fenced.
	m.replyJoin(mem, joinResult{code: codeFencedInstance, generation: noGeneration, id: mem.id})
	m.replySync(mem, syncResult{code: codeFencedInstance})
	m.count(mem, -1)
	delete(m.members, mem.id)
	mem.id = a.newID
	m.members[mem.id], m.instances[mem.instance] = mem, mem.id
	m.count(mem, 1)
	if led {
		m.leader = mem.id
	}
	m.touch(now, mem)
	m.update(mem, a)
	if m.state != stateStable || m.choose() != m.protocol {
		m.prepare(now)
		return
	}
	m.replyAfterWrite(mem, a, oldLeader)
}

// replyAfterWrite answers a static member that goes on as before, once its
// new id is stored.
func (m *machine) replyAfterWrite(mem *member, a *joinAsk, oldLeader string) {
	call, id := mem.join, mem.id
	mem.join = nil
	m.waiting--
	r := joinResult{generation: m.generation, protocolType: m.protocolType, protocol: m.protocol,
		leader: m.leader, id: id}
	if m.leader == id {
		if a.skipAssignment {
			r.members, r.skipAssignment = m.listForLeader(), true
		} else {
			// An older client that reads its own id here would assign anew:
			// let it follow.
			r.leader = oldLeader
		}
	}
	m.write(func(_ time.Time, code int16) {
		if code != codeOK {
			r = joinResult{code: code, generation: noGeneration}
		}
		call.reply(r)
	})
}

// dropJoin forgets a parked join whose connection is gone. The member has its
// session timeout to come back; one that never learnt its id cannot.
func (m *machine) dropJoin(now time.Time, call *parkedJoin) {
	for _, mem := range m.members {
		if mem.join != call {
			continue
		}
		mem.join = nil
		m.waiting--
		if mem.unaware && mem.instance == "" {
			m.remove(mem, codeUnknownMember)
			m.afterLoss(now)
			return
		}
		m.touch(now, mem)
		return
	}
}

// dropSync forgets a parked sync whose connection is gone.
func (m *machine) dropSync(now time.Time, call *parkedSync) {
	for _, mem := range m.members {
		if mem.sync == call {
			mem.sync = nil
			m.touch(now, mem)
			return
		}
	}
}
