package metadata

import (
	"slices"
	"sync"
	"time"
)

// maxClockSkew is how far a holder's clock may provably stand from those of
// most other brokers for its ticks to count.
const maxClockSkew UnixMilli = 2_000

// maxClockMarks is how many marks are kept: with one per publish, a minute.
const maxClockMarks = 32

// clockMark is a moment of this broker: what was committed after Revision was
// committed after At.
type clockMark struct {
	at       time.Time
	revision Revision
}

// clockMarks holds this broker's clock against those that others published.
// A published clock is of unknown age: its broker may have been slow to write
// it, and we to read it. So it is compared with an interval: it was read before
// we read our own clock now, and after the newest mark below what its broker
// had applied when it read it. Only a clock outside the interval proves
// something; a pause of the log, of whatever length, proves nothing.
type clockMarks struct {
	mu    sync.Mutex
	marks []clockMark // oldest first
}

// record adds a mark: a linearizable read that was sent at a time found the log
// at a revision.
func (c *clockMarks) record(sent time.Time, found Revision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks = append(c.marks, clockMark{sent, found})
	if n := len(c.marks); n > maxClockMarks {
		c.marks = slices.Delete(c.marks, 0, n-maxClockMarks)
	}
}

// lastBefore returns the newest mark that lies before a revision came to be.
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

// measureSkew returns by how much, at the least, most other brokers' clocks say that
// this one is ahead (or, if negative, behind); 0 where they prove nothing. clock
// is this broker's, read at now, after live had arrived. With fewer than three
// clocks there is no majority to be wrong against.
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
			// Since the mark by the steady clock: ours may have been set meanwhile.
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
