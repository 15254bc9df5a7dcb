package wal

import (
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// SealReason is why a buffer was sealed.
type SealReason uint8

// The reasons.
const (
	ReasonNone    SealReason = iota
	ReasonFull               // bytes, or a batch that needs an object of its own
	ReasonRuns               // the encoded runs
	ReasonLinger             //
	ReasonBlocked            // its connections look window-blocked
	ReasonNatural            // the low lane: an upload slot was free
	ReasonInline             // a commit slot was free and it is small
	ReasonDrain              //
	reasonCount
)

// String names the reason as metrics label it.
func (r SealReason) String() string {
	return [reasonCount]string{"none", "full", "runs", "linger", "blocked", "natural", "inline", "drain"}[r]
}

// lowSpacing is the least time between two objects that the low lane seals by
// itself: it does not linger, but it does not spend a PUT on each batch either.
const lowSpacing = 10 * time.Millisecond

// earlyRetry is how often the budget of early PUTs is asked again.
const earlyRetry = 10 * time.Millisecond

// noWait is the answer of who waits for an event, not for a time.
const noWait = time.Hour

// situation is all that the decision to seal depends on.
type situation struct {
	now   time.Time
	lane  metadata.Lane
	bytes int
	head  int // upper bound of parts and runs in the entry
	due   time.Time

	maxBytes    int
	inlineLimit int
	denied      bool // the inline budget had no room
	apart       bool // it shares no partition with what must commit before it
	uploadFree  bool
	lastSeal    time.Time // of the lane's last object
	draining    bool

	blockedAfter time.Duration
	earlyPut     bool            // the budget has a PUT for window-blocked connections
	unblocked    time.Duration   // where positive: not blocked before that
	idle         []time.Duration // of its connections; decide sorts it
}

// full tells whether a buffer must be sealed whatever else holds.
func (s *situation) full() SealReason {
	switch {
	case s.bytes >= s.maxBytes:
		return ReasonFull
	case s.head >= metadata.SealRunBytes:
		return ReasonRuns
	}
	return ReasonNone
}

// inlineable tells whether the buffer waits for a commit slot rather than for
// an upload.
func (s *situation) inlineable() bool {
	return s.bytes > 0 && s.bytes <= min(s.inlineLimit, metadata.MaxInlineBytes) && !s.denied && s.apart
}

// decide tells whether the buffer becomes an object now, or else after how
// long to ask again. It knows nothing but what it is given.
func decide(s situation) (SealReason, time.Duration) {
	if s.bytes == 0 {
		return ReasonNone, noWait
	}
	if r := s.full(); r != ReasonNone {
		return r, 0
	}
	if s.inlineable() || !s.uploadFree {
		return ReasonNone, noWait // the slot that comes free asks again
	}
	if s.draining {
		return ReasonDrain, 0
	}
	if s.lane == metadata.LaneLow {
		if wait := lowSpacing - s.now.Sub(s.lastSeal); wait > 0 {
			return ReasonNone, wait
		}
		return ReasonNatural, 0
	}
	wait := s.due.Sub(s.now)
	if wait <= 0 {
		return ReasonLinger, 0
	}
	blocked := s.blockedIn()
	switch {
	case blocked > 0:
		return ReasonNone, min(wait, blocked)
	case s.earlyPut:
		return ReasonBlocked, 0
	}
	return ReasonNone, min(wait, earlyRetry)
}

// blockedIn is after how long, without new bytes, at least half of the
// buffer's connections look window-blocked. Not all of them: among many there
// is always one that reads.
func (s *situation) blockedIn() time.Duration {
	if s.unblocked > 0 {
		return s.unblocked
	}
	if len(s.idle) == 0 {
		return noWait
	}
	slices.Sort(s.idle)
	return s.blockedAfter - s.idle[len(s.idle)/2]
}
