package hedge

import (
	"slices"
	"sync"
	"time"
)

// Config bounds what a Hedger may spend. Zero values mean the defaults.
type Config struct {
	// InitialDelay is the time after which a request is late while too few
	// were measured for a p99; default 500 ms. Negative: nothing is hedged.
	InitialDelay time.Duration
	// MaxHedges bounds the second and third requests in flight of races that are
	// not decided; default 4.
	MaxHedges int
	// MaxLosers bounds the requests in flight whose race is decided, LosingBytes
	// their sizes; at the bound the oldest are given up. Default 16 and 32 MiB.
	MaxLosers   int
	LosingBytes int
}

const (
	// MaxTries is how many tries a race has at most.
	MaxTries = 3
	// tokensPerRace and burst bound hedges in the long run: tokensPerRace
	// for each first request, and burst saved up.
	tokensPerRace = 0.25
	maxTokens     = 16
)

// Stats counts what a Hedger has done, and what is under way.
type Stats struct {
	Races   uint64 // first requests
	Hedges  uint64 // second and third ones
	Won     uint64 // of those
	Queued  uint64 // late requests that waited for a permit
	Dropped uint64 // of those: not late any more when it came
	GivenUp uint64 // losing requests, at the bound
	Retries uint64 // requests sent again after a failure that was answered
	Repeats uint64 // requests sent again after no answer

	Racing, Losing, Waiting int // now
}

// Hedger bounds and measures the races of one kind of request. Its methods may
// be called from any number of goroutines.
type Hedger struct {
	config Config

	mu          sync.Mutex // guards what follows
	latencies   latencyStats
	tokens      float64   // of hedges
	permitQueue []*permit // waiting for a permit, in order
	losing      []*try    // in flight, oldest first
	stats       Stats
}

// permit is a permit that a late race waits for, or has.
type permit struct {
	granted chan struct{} // closed when it has it
}

// New returns a Hedger.
func New(c Config) *Hedger {
	if c.InitialDelay == 0 {
		c.InitialDelay = 500 * time.Millisecond
	}
	if c.MaxHedges == 0 {
		c.MaxHedges = 4
	}
	if c.MaxLosers == 0 {
		c.MaxLosers = 16
	}
	if c.LosingBytes == 0 {
		c.LosingBytes = 32 << 20
	}
	return &Hedger{config: c, tokens: maxTokens}
}

// Stats returns the present values.
func (h *Hedger) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Losing, s.Waiting = len(h.losing), len(h.permitQueue)
	return s
}

// startRace counts a new race and returns when its first request will be late.
func (h *Hedger) startRace(bytes int) (wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Races++
	h.tokens = min(maxTokens, h.tokens+tokensPerRace)
	h.grantPermits()
	return h.latencies.hedgeDelay(bytes, h.config.InitialDelay)
}

// recordLatency records one request that succeeded.
func (h *Hedger) recordLatency(bytes int, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latencies.recordLatency(bytes, took)
}

// requestPermit requests a permit, in order of the calls.
func (h *Hedger) requestPermit() *permit {
	t := &permit{granted: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.permitQueue = append(h.permitQueue, t)
	if h.grantPermits(); len(h.permitQueue) > 0 {
		h.stats.Queued++
	}
	return t
}

// grantPermits grants permits in order while there are any.
func (h *Hedger) grantPermits() {
	for len(h.permitQueue) > 0 && h.stats.Racing < h.config.MaxHedges && h.tokens >= 1 {
		h.stats.Racing++
		h.tokens--
		close(h.permitQueue[0].granted)
		h.permitQueue[0] = nil
		h.permitQueue = h.permitQueue[1:]
	}
}

// returnPermit returns a permit unused, or stops waiting for it.
func (h *Hedger) returnPermit(t *permit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.permitQueue, t); i >= 0 {
		h.permitQueue = slices.Delete(h.permitQueue, i, i+1)
		return
	}
	h.stats.Racing--
	h.stats.Dropped++
	h.tokens++
	h.grantPermits()
}

// releasePermits ends the use of n permits.
func (h *Hedger) releasePermits(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Racing -= n
	h.grantPermits()
}

// addLosers adds requests in flight whose race is decided, and returns those
// that are given up at the bound.
func (h *Hedger) addLosers(tries []*try) (over []*try) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.losing = append(h.losing, tries...)
	bytes := 0
	for _, t := range h.losing {
		bytes += t.g.race.Bytes
	}
	n := 0
	for len(h.losing)-n > h.config.MaxLosers || len(h.losing) > n && bytes > h.config.LosingBytes {
		bytes -= h.losing[n].g.race.Bytes
		n++
	}
	over, h.losing = h.losing[:n:n], slices.Clone(h.losing[n:])
	h.stats.GivenUp += uint64(n)
	return over
}

// removeLoser removes a losing request that has ended.
func (h *Hedger) removeLoser(t *try) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.losing, t); i >= 0 {
		h.losing = slices.Delete(h.losing, i, i+1)
	}
}

func (h *Hedger) updateStats(f func(*Stats)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.stats)
}
