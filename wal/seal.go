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
	ReasonFull               // bytes, or a batch that needs its own object
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

// lowLaneSpacing is the least time between two objects that the low lane seals
// by itself: it does not linger, but it does not spend a PUT on each batch
// either.
const lowLaneSpacing = 10 * time.Millisecond

// earlyPutRetry is how often the budget of early PUTs is checked again.
const earlyPutRetry = 10 * time.Millisecond

// noWait is the wait for an event rather than for a time.
const noWait = time.Hour

// sealInput is all that the decision to seal depends on.
type sealInput struct {
	now       time.Time
	lane      metadata.Lane
	bytes     int
	headBytes int // upper bound of parts and runs in the entry
	lingerEnd time.Time

	maxBytes     int
	inlineLimit  int
	inlineDenied bool // the inline budget had no room
	independent  bool // it shares no partition with buffers that must commit before it
	uploadFree   bool
	lastSeal     time.Time // of the lane's last object
	draining     bool

	blockedAfter time.Duration
	hasEarlyPut  bool            // the budget has a PUT for window-blocked connections
	unblockedFor time.Duration   // where positive: not blocked before that
	idleTimes    []time.Duration // of its connections; decideSeal sorts it
}

// fullReason returns why a buffer must be sealed whatever else holds, or
// ReasonNone.
func (s *sealInput) fullReason() SealReason {
	switch {
	case s.bytes >= s.maxBytes:
		return ReasonFull
	case s.headBytes >= metadata.SealRunBytes:
		return ReasonRuns
	}
	return ReasonNone
}

// canGoInline reports whether the buffer waits for a commit slot rather than
// for an upload.
func (s *sealInput) canGoInline() bool {
	return s.bytes > 0 && s.bytes <= min(s.inlineLimit, metadata.MaxInlineBytes) && !s.inlineDenied && s.independent
}

// decideSeal returns whether the buffer becomes an object now, or else after
// how long to decide again. It depends on its input alone.
func decideSeal(s sealInput) (SealReason, time.Duration) {
	if s.bytes == 0 {
		return ReasonNone, noWait
	}
	if r := s.fullReason(); r != ReasonNone {
		return r, 0
	}
	if s.canGoInline() || !s.uploadFree {
		return ReasonNone, noWait // the slot decides again when it becomes free
	}
	if s.draining {
		return ReasonDrain, 0
	}
	if s.lane == metadata.LaneLow {
		if wait := lowLaneSpacing - s.now.Sub(s.lastSeal); wait > 0 {
			return ReasonNone, wait
		}
		return ReasonNatural, 0
	}
	wait := s.lingerEnd.Sub(s.now)
	if wait <= 0 {
		return ReasonLinger, 0
	}
	blocked := s.blockedIn()
	switch {
	case blocked > 0:
		return ReasonNone, min(wait, blocked)
	case s.hasEarlyPut:
		return ReasonBlocked, 0
	}
	return ReasonNone, min(wait, earlyPutRetry)
}

// blockedIn is after how long, without new bytes, at least half of the buffer's
// connections look window-blocked. Half, because among many connections one is
// always sending.
func (s *sealInput) blockedIn() time.Duration {
	if s.unblockedFor > 0 {
		return s.unblockedFor
	}
	if len(s.idleTimes) == 0 {
		return noWait
	}
	slices.Sort(s.idleTimes)
	return s.blockedAfter - s.idleTimes[len(s.idleTimes)/2]
}
