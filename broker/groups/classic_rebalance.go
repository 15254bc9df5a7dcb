package groups

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// prepareRebalance starts a rebalance, or continues the current one.
func (m *classicGroup) prepareRebalance(now time.Time) {
	switch m.state {
	case statePreparing:
	case stateEmpty:
		timeout := m.maxRebalanceTimeout()
		delay := min(m.limits.initialDelay, timeout)
		m.inInitialDelay, m.joinedInDelay = delay > 0, false
		m.initialDelayLeft = timeout - delay
		m.joinDeadline = now.Add(delay)
		if delay <= 0 {
			m.joinDeadline = now.Add(timeout)
		}
		m.state = statePreparing
		m.scheduleDeadline(m.joinDeadline)
	case stateCompleting:
		m.failSyncs(now, kerr.RebalanceInProgress.Code)
		fallthrough
	case stateStable:
		m.inInitialDelay = false
		m.joinDeadline = now.Add(m.maxRebalanceTimeout())
		m.state = statePreparing
		m.scheduleDeadline(m.joinDeadline)
	}
	m.tryCompleteJoin(now)
}

// failSyncs fails every parked SyncGroup and drops the assignments of the
// abandoned generation.
func (m *classicGroup) failSyncs(now time.Time, code int16) {
	for _, mem := range m.membersByArrival() {
		m.setAssignment(mem, nil)
		if mem.parkedSync != nil {
			m.restartSession(now, mem)
			m.replySync(mem, syncResult{code: code})
		}
	}
}

// tryCompleteJoin completes the join phase when all members have joined.
func (m *classicGroup) tryCompleteJoin(now time.Time) {
	if m.state == statePreparing && !m.inInitialDelay && m.parkedJoins == len(m.members) && len(m.promisedIDs) == 0 {
		m.completeJoin(now)
	}
}

// completeJoin makes the next generation of the members that joined. All others
// are removed, except static members, which have until their session ends.
func (m *classicGroup) completeJoin(now time.Time) {
	m.inInitialDelay = false
	for _, mem := range m.membersByArrival() {
		if mem.parkedJoin == nil && mem.instance == "" {
			m.removeMember(mem, kerr.UnknownMemberID.Code)
		}
	}
	if len(m.members) > 0 && !m.electLeader() {
		m.joinDeadline = now.Add(m.maxRebalanceTimeout())
		m.scheduleDeadline(m.joinDeadline)
		return
	}
	m.raiseGeneration()
	if len(m.members) == 0 {
		m.state, m.protocol, m.leader = stateEmpty, "", ""
		m.storeEmptyGroup()
		return
	}
	m.protocol = m.chooseProtocol()
	m.state = stateCompleting
	m.syncDeadline = now.Add(m.maxRebalanceTimeout())
	m.scheduleDeadline(m.syncDeadline)
	for _, mem := range m.membersByArrival() {
		// An absent static member does not have to sync before its session ends.
		mem.synced = mem.parkedJoin == nil
		m.setAssignment(mem, nil)
		if mem.parkedJoin != nil {
			m.restartSession(now, mem)
			m.replyJoin(mem, m.newJoinResult(mem))
		}
	}
}

// raiseGeneration sets the next generation's number. The previous coordinator
// may have sent generations to members that it never wrote: after a take-over
// some numbers are skipped, so that none is used twice.
func (m *classicGroup) raiseGeneration() {
	m.generation++
	if m.takenOver {
		m.generation += generationsAfterTakeOver
		m.takenOver = false
	}
	if m.generation > maxGenerationBeforeWrap {
		m.generation = 1
	}
}

// electLeader keeps the leader if it joined, else takes the oldest member;
// false if no member joined.
func (m *classicGroup) electLeader() bool {
	if mem := m.members[m.leader]; mem != nil && mem.parkedJoin != nil {
		return true
	}
	for _, mem := range m.membersByArrival() {
		if mem.parkedJoin != nil {
			m.leader = mem.id
			return true
		}
	}
	return false
}

// chooseProtocol counts the votes: each member votes for the first of its
// protocols that all members support. On a tie the oldest member's order
// decides.
func (m *classicGroup) chooseProtocol() string {
	votes := map[string]int{}
	var order []string
	for _, mem := range m.membersByArrival() {
		for i := range mem.protocols {
			name := mem.protocols[i].Name
			if m.totals.protocols[name].members < len(m.members) {
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

// storeEmptyGroup writes the group without members, and retries until it is
// written or has members: the next coordinator must not wait for members that
// are gone.
func (m *classicGroup) storeEmptyGroup() {
	generation := m.generation
	m.retryEmptyAt = time.Time{}
	m.queueWrite(func(now time.Time, code int16) {
		if code != noError && m.state == stateEmpty && m.generation == generation {
			m.retryEmptyAt = now.Add(writeRetryDelay)
			m.scheduleDeadline(m.retryEmptyAt)
		}
	})
}

// rebalanceAfterLoss handles the loss of a member.
func (m *classicGroup) rebalanceAfterLoss(now time.Time) {
	if m.state == stateEmpty {
		return
	}
	m.prepareRebalance(now)
}

// handleDeadlines handles the deadlines that have passed, and finds the next
// one.
func (m *classicGroup) handleDeadlines(now time.Time) {
	m.expireMembers(now)
	m.checkJoinDeadline(now)
	m.nextDeadline = m.findNextDeadline()
}

// expireMembers removes members whose session has expired.
func (m *classicGroup) expireMembers(now time.Time) {
	if !m.retryEmptyAt.IsZero() && !now.Before(m.retryEmptyAt) {
		m.retryEmptyAt = time.Time{}
		if m.state == stateEmpty {
			m.storeEmptyGroup()
		}
	}
	for id, until := range m.promisedIDs {
		if !now.Before(until) {
			delete(m.promisedIDs, id)
		}
	}
	lost := false
	for _, mem := range m.membersByArrival() {
		late := !mem.isParked() && !now.Before(mem.sessionDeadline)
		mute := !mem.synced && m.isSyncPhase() && !now.Before(m.syncDeadline)
		if late || mute {
			m.removeMember(mem, kerr.UnknownMemberID.Code)
			lost = true
		}
	}
	if lost {
		m.rebalanceAfterLoss(now)
	}
}

// checkJoinDeadline completes the join phase at its deadline.
func (m *classicGroup) checkJoinDeadline(now time.Time) {
	if m.state != statePreparing {
		return
	}
	m.tryCompleteJoin(now) // a promised id may have expired
	if m.state != statePreparing || now.Before(m.joinDeadline) {
		return
	}
	if m.inInitialDelay && m.joinedInDelay && m.initialDelayLeft > 0 {
		m.joinedInDelay = false
		delay := min(m.limits.initialDelay, m.initialDelayLeft)
		m.initialDelayLeft -= delay
		m.joinDeadline = now.Add(delay)
		return
	}
	m.completeJoin(now)
}

// isSyncPhase reports whether members may send SyncGroup, or wait for its
// response.
func (m *classicGroup) isSyncPhase() bool {
	return m.state == stateCompleting || m.state == stateStable
}

// findNextDeadline returns the earliest deadline; zero if there is none.
func (m *classicGroup) findNextDeadline() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	sooner(m.retryEmptyAt)
	for _, until := range m.promisedIDs {
		sooner(until)
	}
	for _, mem := range m.members {
		if !mem.isParked() {
			sooner(mem.sessionDeadline)
		}
		if !mem.synced && m.isSyncPhase() {
			sooner(m.syncDeadline)
		}
	}
	if m.state == statePreparing {
		sooner(m.joinDeadline)
	}
	return at
}
