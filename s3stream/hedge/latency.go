package hedge

import (
	"slices"
	"time"
)

// latencyStats has the durations of recent requests, by class of size.
type latencyStats struct {
	classes [3]sizeClass
}

type sizeClass struct {
	took     [128]time.Duration // a ring
	recorded int                // noted so far
}

const (
	// MaxWait is the longest time after which a request is late, whatever
	// was measured.
	MaxWait = 750 * time.Millisecond
	// minWait prevents hedges for stores so fast that their p99 is noise.
	minWait = 20 * time.Millisecond
	// minSamples is how many requests must be measured before their p99 is
	// used.
	minSamples = 32
)

func (p *latencyStats) classOf(bytes int) *sizeClass {
	switch {
	case bytes <= 256<<10:
		return &p.classes[0]
	case bytes <= 2<<20:
		return &p.classes[1]
	}
	return &p.classes[2]
}

// recordLatency records one request that succeeded.
func (p *latencyStats) recordLatency(bytes int, took time.Duration) {
	c := p.classOf(bytes)
	c.took[c.recorded%len(c.took)] = took
	c.recorded++
}

// hedgeDelay is the time after which a request of this size is late: the recent
// p99 of its class, or unknown where too few were measured; negative means
// never.
func (p *latencyStats) hedgeDelay(bytes int, unknown time.Duration) time.Duration {
	if unknown < 0 {
		return unknown
	}
	c := p.classOf(bytes)
	if c.recorded < minSamples {
		return min(unknown, MaxWait)
	}
	known := slices.Clone(c.took[:min(c.recorded, len(c.took))])
	slices.Sort(known)
	return min(max(known[len(known)*99/100], minWait), MaxWait)
}
