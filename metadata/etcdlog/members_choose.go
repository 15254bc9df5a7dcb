package etcdlog

import "time"

// How soon a member that does not answer is given up, and when one in the own
// zone is used again. A member that stops answering is given up after probeEvery,
// silenceLimit and searchGiveUpAfter at the latest, less than a second.
const (
	probeEvery          = 300 * time.Millisecond // of a member in the own zone: no traffic between zones
	otherZoneProbeEvery = time.Second            // of a member in another zone
	silenceLimit        = 300 * time.Millisecond // without an answer, after which a search begins
	probeAloneTime      = 150 * time.Millisecond // in which a search probes the current member alone, if only calls are slow
	searchGiveUpAfter   = 250 * time.Millisecond // of a search, for a member that did not answer before it
	searchTimeout       = time.Second            // of a search in which no member answers
	searchInterval      = time.Second            // between searches that find the member healthy although calls are slow
	minReturnUptime     = 3 * time.Second        // for which a member of the own zone must have answered
	maxReturnUptime     = time.Minute            // the same, where it fails repeatedly
	stableReturnTime    = 30 * time.Second       // for which it must be used again to count as healthy
)

// probeState is what a search has seen of one member.
type probeState struct {
	sameZone bool
	sent     bool
	order    int  // position of its answer, from 1; 0: none yet
	failed   bool // it answered that it cannot serve, or could not be probed
}

// chooseMember returns the result of a search that began since ago: which member
// to use. done is false while it is too early to decide. The current member is
// replaced only by one that has answered: if none answers, the fault is not the
// member's.
func chooseMember(current int, seen []probeState, since, giveUpAfter time.Duration) (next int, done bool) {
	best := -1
	waiting := false
	for i, s := range seen {
		switch {
		case s.order > 0 && i == current:
			return current, true
		case s.order > 0 && (best < 0 || s.sameZone && !seen[best].sameZone || s.sameZone == seen[best].sameZone && s.order < seen[best].order):
			best = i
		case s.order == 0 && !s.failed:
			waiting = true
		}
	}
	switch givenUp := seen[current].failed || since >= giveUpAfter; {
	case givenUp && best >= 0:
		return best, true
	case !waiting || since >= searchTimeout:
		return current, true
	}
	return current, false
}

// ownZoneReturn decides when a member of the own zone that was given up is used
// again.
type ownZoneReturn struct {
	requiredUptime time.Duration // for how long it must have answered; 0: none was given up yet
	returnedAt     time.Time     // when one was last used again
}

// recordGivenUp records that the own zone's member was given up. One that did not
// stay healthy after it was used again must answer for longer next time.
func (h *ownZoneReturn) recordGivenUp(now time.Time) {
	if h.requiredUptime > 0 && now.Sub(h.returnedAt) < stableReturnTime {
		h.requiredUptime = min(2*h.requiredUptime, maxReturnUptime)
	} else {
		h.requiredUptime = minReturnUptime
	}
}

// mayReturn reports whether a member that has answered every probe since may be
// used.
func (h *ownZoneReturn) mayReturn(since, now time.Time) bool {
	return !since.IsZero() && now.Sub(since) >= h.requiredUptime
}
