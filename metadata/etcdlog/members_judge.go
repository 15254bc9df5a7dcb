package etcdlog

import "time"

// How soon a member that does not answer is given up, and when one in the own
// zone is used again. A member that stops answering is given up after probeEvery,
// memberSilence and lookPatience at the latest, less than a second.
const (
	probeEvery    = 300 * time.Millisecond // of a member in the own zone: nothing crosses
	farProbeEvery = time.Second            // of one elsewhere
	memberSilence = 300 * time.Millisecond // without an answer that make a look due
	lookAlone     = 150 * time.Millisecond // that a look asks the member alone, where only calls are slow
	lookPatience  = 250 * time.Millisecond // of a look, with a member that was silent before
	lookTime      = time.Second            // of a look in which nobody answers
	lookAgain     = time.Second            // between looks that find the member well though calls are slow
	homeAfter     = 3 * time.Second        // that a member of the own zone must have answered
	homeAfterMost = time.Minute            // the same, where it falls ill again and again
	homeStays     = 30 * time.Second       // that it must be used again to count as well
)

// sight is what a look has seen of one member.
type sight struct {
	near   bool
	asked  bool
	order  int  // of its answer among all, from 1; 0: none yet
	failed bool // it answered that it cannot, or could not be asked
}

// choose is the verdict of a look so long after it began: which member to use.
// done is false while it is too early to tell. The present one is left only for
// one that has answered: where nobody answers, the trouble is not the member's.
func choose(current int, seen []sight, since, patience time.Duration) (next int, done bool) {
	best := -1
	waiting := false
	for i, s := range seen {
		switch {
		case s.order > 0 && i == current:
			return current, true
		case s.order > 0 && (best < 0 || s.near && !seen[best].near || s.near == seen[best].near && s.order < seen[best].order):
			best = i
		case s.order == 0 && !s.failed:
			waiting = true
		}
	}
	switch givenUp := seen[current].failed || since >= patience; {
	case givenUp && best >= 0:
		return best, true
	case !waiting || since >= lookTime:
		return current, true
	}
	return current, false
}

// homing says when a member of the own zone is used again that was given up.
type homing struct {
	needs time.Duration // how long it must have answered; 0: none was given up yet
	back  time.Time     // when one was used again, last
}

// left notes that the own zone's member was given up. One that did not stay well
// after it was used again has to be well for longer next time.
func (h *homing) left(now time.Time) {
	if h.needs > 0 && now.Sub(h.back) < homeStays {
		h.needs = min(2*h.needs, homeAfterMost)
	} else {
		h.needs = homeAfter
	}
}

// mayReturn says whether a member that has answered every probe since is used.
func (h *homing) mayReturn(since, now time.Time) bool {
	return !since.IsZero() && now.Sub(since) >= h.needs
}
