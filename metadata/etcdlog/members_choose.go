package etcdlog

import "time"

// How soon a member that does not answer is given up, and when one in the own
// zone is used again. A member that stops answering is given up after probeEvery,
// silenceLimit and searchGiveUpAfter at the latest, less than a second.
const (
	probeEvery          = 300 * time.Millisecond // of a member in the own zone: nothing crosses
	otherZoneProbeEvery = time.Second            // of one elsewhere
	silenceLimit        = 300 * time.Millisecond // without an answer that make a look due
	probeAloneTime      = 150 * time.Millisecond // that a look asks the member alone, where only calls are slow
	searchGiveUpAfter   = 250 * time.Millisecond // of a look, with a member that was silent before
	searchTimeout       = time.Second            // of a look in which nobody answers
	searchInterval      = time.Second            // between looks that find the member well though calls are slow
	minReturnUptime     = 3 * time.Second        // that a member of the own zone must have answered
	maxReturnUptime     = time.Minute            // the same, where it falls ill again and again
	stableReturnTime    = 30 * time.Second       // that it must be used again to count as well
)

// probeState is what a look has seen of one member.
type probeState struct {
	sameZone bool
	sent     bool
	order    int  // of its answer among all, from 1; 0: none yet
	failed   bool // it answered that it cannot, or could not be asked
}

// chooseMember is the verdict of a look so long after it began: which member to use.
// done is false while it is too early to tell. The present one is left only for
// one that has answered: where nobody answers, the trouble is not the member's.
func chooseMember(current int, seen []probeState, since, patience time.Duration) (next int, done bool) {
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
	switch givenUp := seen[current].failed || since >= patience; {
	case givenUp && best >= 0:
		return best, true
	case !waiting || since >= searchTimeout:
		return current, true
	}
	return current, false
}

// ownZoneReturn says when a member of the own zone is used again that was given up.
type ownZoneReturn struct {
	requiredUptime time.Duration // how long it must have answered; 0: none was given up yet
	returnedAt     time.Time     // when one was used again, last
}

// recordGivenUp notes that the own zone's member was given up. One that did not stay well
// after it was used again has to be well for longer next time.
func (h *ownZoneReturn) recordGivenUp(now time.Time) {
	if h.requiredUptime > 0 && now.Sub(h.returnedAt) < stableReturnTime {
		h.requiredUptime = min(2*h.requiredUptime, maxReturnUptime)
	} else {
		h.requiredUptime = minReturnUptime
	}
}

// mayReturn says whether a member that has answered every probe since is used.
func (h *ownZoneReturn) mayReturn(since, now time.Time) bool {
	return !since.IsZero() && now.Sub(since) >= h.requiredUptime
}
