package hedge

import (
	"slices"
	"time"
)

// pace knows how long recent requests took, by class of size.
type pace struct {
	classes [3]paceClass
}

type paceClass struct {
	took [128]time.Duration // a ring
	n    int                // noted so far
}

const (
	// MaxWait is the longest time that a request is waited for before it is
	// late, whatever was learned.
	MaxWait = 750 * time.Millisecond
	// minWait keeps hedges away from stores so fast that their p99 is noise.
	minWait = 20 * time.Millisecond
	// paceEnough is how many requests must be known before their p99 means
	// anything.
	paceEnough = 32
)

func (p *pace) class(bytes int) *paceClass {
	switch {
	case bytes <= 256<<10:
		return &p.classes[0]
	case bytes <= 2<<20:
		return &p.classes[1]
	}
	return &p.classes[2]
}

// note learns from one request that succeeded.
func (p *pace) note(bytes int, took time.Duration) {
	c := p.class(bytes)
	c.took[c.n%len(c.took)] = took
	c.n++
}

// wait is after how long a request of this size is late: the recent p99 of its
// class, or unknown where too few are known; negative means never.
func (p *pace) wait(bytes int, unknown time.Duration) time.Duration {
	if unknown < 0 {
		return unknown
	}
	c := p.class(bytes)
	if c.n < paceEnough {
		return min(unknown, MaxWait)
	}
	known := slices.Clone(c.took[:min(c.n, len(c.took))])
	slices.Sort(known)
	return min(max(known[len(known)*99/100], minWait), MaxWait)
}
