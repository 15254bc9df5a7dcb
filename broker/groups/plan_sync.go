package groups

import "time"

// syncAsk is a SyncGroup.
type syncAsk struct {
	id, instance           string
	generation             int32
	protocolType, protocol *string // KIP-559; nil: not said
	assignments            map[string][]byte
	call                   *parkedSync
}

// sync handles a SyncGroup. It is answered with an assignment that is
// stored, or an error; until then it waits.
func (m *machine) sync(now time.Time, a *syncAsk) {
	mem, code := m.who(a.id, a.instance)
	switch {
	case code != codeOK:
	case a.generation != m.generation:
		code = codeIllegalGeneration
	case a.protocolType != nil && *a.protocolType != m.protocolType, a.protocol != nil && *a.protocol != m.protocol:
		code = codeInconsistentProtocol
	case m.state == statePreparing:
		code = codeRebalance
	case m.state == stateEmpty:
		code = codeUnknownMember
	}
	if code != codeOK {
		a.call.reply(syncResult{code: code})
		return
	}
	m.touch(now, mem)
	if m.state == stateStable {
		mem.synced = true
		a.call.reply(m.assigned(mem))
		return
	}
	m.replySync(mem, syncResult{code: codeRebalance}) // a connection that was given up
	mem.sync = a.call
	assigning := mem.id == m.leader && !mem.synced
	mem.synced = true
	if assigning {
		m.assign(now, a.assignments)
	}
}

func (m *machine) assigned(mem *member) syncResult {
	return syncResult{protocolType: m.protocolType, protocol: m.protocol, assignment: mem.assignment}
}

// assign takes the leader's assignment and has it stored; then everybody that
// waits gets its part. A member the leader left out gets empty bytes.
func (m *machine) assign(now time.Time, parts map[string][]byte) {
	for id, mem := range m.members {
		if m.hand(mem, parts[id]); mem.assignment == nil {
			mem.assignment = []byte{}
		}
	}
	generation := m.generation
	m.write(func(now time.Time, code int16) {
		if m.state != stateCompleting || m.generation != generation {
			return
		}
		if code != codeOK {
			m.failAssign(now, code)
			return
		}
		m.state = stateStable
		for _, mem := range m.inOrder() {
			if mem.sync != nil {
				m.touch(now, mem)
				m.replySync(mem, m.assigned(mem))
			}
		}
	})
}

// failAssign gives a generation up that could not be stored. Only the leader
// is told that it was too large (at Kafka all are, by UNKNOWN_SERVER_ERROR): the
// others could do nothing about it.
func (m *machine) failAssign(now time.Time, code int16) {
	if leader := m.members[m.leader]; leader != nil && code == codeMessageTooLarge {
		m.touch(now, leader)
		m.replySync(leader, syncResult{code: code})
		code = codeRebalance
	}
	m.failSyncs(now, code)
	m.prepare(now)
}

// heartbeat handles a Heartbeat.
func (m *machine) heartbeat(now time.Time, id, instance string, generation int32) int16 {
	mem, code := m.who(id, instance)
	switch {
	case code != codeOK:
		return code
	case generation != m.generation:
		return codeIllegalGeneration
	}
	m.touch(now, mem)
	if m.state == statePreparing {
		return codeRebalance
	}
	return codeOK
}

// leave takes one member out: by its id, or a static one by its instance
// alone (an operator's tool).
func (m *machine) leave(now time.Time, id, instance string) int16 {
	if _, promised := m.pending[id]; promised && instance == "" {
		delete(m.pending, id)
		m.tryComplete(now)
		return codeOK
	}
	if id == "" && instance != "" {
		id = m.instances[instance]
	}
	mem, code := m.who(id, instance)
	if code != codeOK {
		return code
	}
	m.remove(mem, codeUnknownMember)
	m.afterLoss(now)
	return codeOK
}

// mayCommit checks an OffsetCommit: who asks, for which generation, now
// (section 9 of the protocol reference).
func (m *machine) mayCommit(now time.Time, id, instance string, generation int32) int16 {
	if generation < 0 && m.state == stateEmpty {
		return codeOK // a client that assigns itself
	}
	if generation < 0 && id == "" && instance == "" {
		return codeUnknownMember
	}
	mem, code := m.who(id, instance)
	switch {
	case code != codeOK:
		return code
	case generation != m.generation:
		return codeIllegalGeneration
	case m.state == stateCompleting:
		return codeRebalance
	}
	m.touch(now, mem)
	return codeOK
}
