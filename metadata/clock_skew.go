package metadata

import (
	"slices"
	"sync"
	"time"
)

// maxClockSkew is how far the clock of the tick role's holder may be off,
// provably and against most other brokers, before its ticks stop.
const maxClockSkew UnixMilli = 2_000

// maxClockMarks is how many marks are kept: a minute's, with one per publish.
const maxClockMarks = 32

// clockMark is a time of this broker: what was committed after Revision was
// committed after At.
type clockMark struct {
	at       time.Time
	revision Revision
}

// clockMarks compares this broker's clock with those that others published. The
// age of a published clock is unknown: its broker may have been slow to write it,
// and this one to read it. So it is compared with an interval: it was read before
// this broker reads its own clock now, and after the newest mark below what its
// broker had applied when it read it. Only a clock outside the interval proves
// anything; a pause of the log, of any length, proves nothing.
type clockMarks struct {
	mu    sync.Mutex
	marks []clockMark // oldest first
}

// record adds a mark: a linearizable read that was sent at a time returned a
// revision.
func (c *clockMarks) record(sent time.Time, found Revision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks = append(c.marks, clockMark{sent, found})
	if n := len(c.marks); n > maxClockMarks {
		c.marks = slices.Delete(c.marks, 0, n-maxClockMarks)
	}
}

// lastBefore returns the newest mark before a revision was committed.
func (c *clockMarks) lastBefore(rev Revision) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range slices.Backward(c.marks) {
		if m.revision < rev {
			return m.at, true
		}
	}
	return time.Time{}, false
}

// measureSkew returns by how much, at the least, this clock is ahead of most
// other brokers' clocks (or, if negative, behind); 0 where they prove nothing.
// clock is this broker's, read at now, after live had arrived. With fewer than
// three clocks there is no majority.
func (c *clockMarks) measureSkew(live []LiveSession, self SessionID, now time.Time, clock UnixMilli) UnixMilli {
	var ahead, behind []UnixMilli
	clocks := 1
	for _, l := range live {
		if l.ID == self || l.Status.Clock == 0 {
			continue
		}
		clocks++
		if d := l.Status.Clock - clock; d > 0 {
			behind = append(behind, d)
		}
		if at, ok := c.lastBefore(l.Status.Applied); ok {
			// The time since the mark is by the monotonic clock: the wall clock
			// may have been set meanwhile.
			early := clock - UnixMilli(now.Sub(at).Milliseconds())
			if d := early - l.Status.Clock; d > 0 {
				ahead = append(ahead, d)
			}
		}
	}
	if clocks < 3 {
		return 0
	}
	most := clocks/2 + 1
	slices.Sort(ahead)
	slices.Sort(behind)
	switch {
	case len(ahead) >= most:
		return ahead[len(ahead)-most]
	case len(behind) >= most:
		return -behind[len(behind)-most]
	}
	return 0
}
