package groups

import "time"

// prepare begins a rebalance, or goes on with the one under way.
func (m *machine) prepare(now time.Time) {
	switch m.state {
	case statePreparing:
	case stateEmpty:
		timeout := m.rebalanceTimeout()
		delay := min(m.limits.initialDelay, timeout)
		m.initial, m.newcomer = delay > 0, false
		m.initialLeft = timeout - delay
		m.joinDeadline = now.Add(delay)
		if delay <= 0 {
			m.joinDeadline = now.Add(timeout)
		}
		m.state = statePreparing
		m.wake(m.joinDeadline)
	case stateCompleting:
		m.failSyncs(now, codeRebalance)
		fallthrough
	case stateStable:
		m.initial = false
		m.joinDeadline = now.Add(m.rebalanceTimeout())
		m.state = statePreparing
		m.wake(m.joinDeadline)
	}
	m.tryComplete(now)
}

// failSyncs answers every parked sync with an error and forgets assignments
// of a generation that will not be.
func (m *machine) failSyncs(now time.Time, code int16) {
	for _, mem := range m.inOrder() {
		m.hand(mem, nil)
		if mem.sync != nil {
			m.touch(now, mem)
			m.replySync(mem, syncResult{code: code})
		}
	}
}

// tryComplete makes the generation when everybody is here.
func (m *machine) tryComplete(now time.Time) {
	if m.state == statePreparing && !m.initial && m.waiting == len(m.members) && len(m.pending) == 0 {
		m.complete(now)
	}
}

// complete makes the next generation of those who joined; who did not is out,
// static members apart: they have until their session ends.
func (m *machine) complete(now time.Time) {
	m.initial = false
	for _, mem := range m.inOrder() {
		if mem.join == nil && mem.instance == "" {
			m.remove(mem, codeUnknownMember)
		}
	}
	if len(m.members) > 0 && !m.elect() {
		m.joinDeadline = now.Add(m.rebalanceTimeout())
		m.wake(m.joinDeadline)
		return
	}
	m.raiseGeneration()
	if len(m.members) == 0 {
		m.state, m.protocol, m.leader = stateEmpty, "", ""
		m.storeEmpty()
		return
	}
	m.protocol = m.choose()
	m.state = stateCompleting
	m.syncDeadline = now.Add(m.rebalanceTimeout())
	m.wake(m.syncDeadline)
	for _, mem := range m.inOrder() {
		// An absent static member owes nothing before its session ends.
		mem.synced = mem.join == nil
		m.hand(mem, nil)
		if mem.join != nil {
			m.touch(now, mem)
			m.replyJoin(mem, m.standing(mem))
		}
	}
}

// raiseGeneration numbers the next generation. The holder before us may have
// told members of generations that it never wrote: after a take-over a few
// numbers are left out, so that none means two things.
func (m *machine) raiseGeneration() {
	m.generation++
	if m.takenOver {
		m.generation += generationsAfterTakeOver
		m.takenOver = false
	}
	if m.generation > maxGenerationBeforeWrap {
		m.generation = 1
	}
}

// elect keeps the leader if it joined, else takes the member that has been
// here longest; false where nobody joined.
func (m *machine) elect() bool {
	if mem := m.members[m.leader]; mem != nil && mem.join != nil {
		return true
	}
	for _, mem := range m.inOrder() {
		if mem.join != nil {
			m.leader = mem.id
			return true
		}
	}
	return false
}

// choose counts the votes: each member's is the first of its protocols that
// all members speak. Among equals the oldest member's order decides.
func (m *machine) choose() string {
	votes := map[string]int{}
	var order []string
	for _, mem := range m.inOrder() {
		for i := range mem.protocols {
			name := mem.protocols[i].Name
			if m.sums.protocols[name].members < len(m.members) {
				continue
			}
			if votes[name]++; votes[name] == 1 {
				order = append(order, name)
			}
			break
		}
	}
	best := ""
	for _, name := range order {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// storeEmpty writes the group without members, again and again until it is
// written or has members: a later holder must not wait for ghosts.
func (m *machine) storeEmpty() {
	generation := m.generation
	m.retryEmpty = time.Time{}
	m.write(func(now time.Time, code int16) {
		if code != codeOK && m.state == stateEmpty && m.generation == generation {
			m.retryEmpty = now.Add(retryWriteAfter)
			m.wake(m.retryEmpty)
		}
	})
}

// afterLoss goes on after a member left.
func (m *machine) afterLoss(now time.Time) {
	if m.state == stateEmpty {
		return
	}
	m.prepare(now)
}

// tick does what is due, and finds the next deadline.
func (m *machine) tick(now time.Time) {
	m.expire(now)
	m.turn(now)
	m.due = m.next()
}

// expire strikes out who was silent for too long.
func (m *machine) expire(now time.Time) {
	if !m.retryEmpty.IsZero() && !now.Before(m.retryEmpty) {
		m.retryEmpty = time.Time{}
		if m.state == stateEmpty {
			m.storeEmpty()
		}
	}
	for id, until := range m.pending {
		if !now.Before(until) {
			delete(m.pending, id)
		}
	}
	lost := false
	for _, mem := range m.inOrder() {
		late := !mem.parked() && !now.Before(mem.expires)
		mute := !mem.synced && m.syncRuns() && !now.Before(m.syncDeadline)
		if late || mute {
			m.remove(mem, codeUnknownMember)
			lost = true
		}
	}
	if lost {
		m.afterLoss(now)
	}
}

// turn ends the wait for members where it is over.
func (m *machine) turn(now time.Time) {
	if m.state != statePreparing {
		return
	}
	m.tryComplete(now) // a promised id may have run out
	if m.state != statePreparing || now.Before(m.joinDeadline) {
		return
	}
	if m.initial && m.newcomer && m.initialLeft > 0 {
		m.newcomer = false
		delay := min(m.limits.initialDelay, m.initialLeft)
		m.initialLeft -= delay
		m.joinDeadline = now.Add(delay)
		return
	}
	m.complete(now)
}

// syncRuns reports whether members are still owed, or owe, a SyncGroup.
func (m *machine) syncRuns() bool { return m.state == stateCompleting || m.state == stateStable }

// next is the earliest deadline; zero for none.
func (m *machine) next() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	sooner(m.retryEmpty)
	for _, until := range m.pending {
		sooner(until)
	}
	for _, mem := range m.members {
		if !mem.parked() {
			sooner(mem.expires)
		}
		if !mem.synced && m.syncRuns() {
			sooner(m.syncDeadline)
		}
	}
	if m.state == statePreparing {
		sooner(m.joinDeadline)
	}
	return at
}
