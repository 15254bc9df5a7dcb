package etcdfake

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Config is the behaviour of an etcd. The zero value of a rate means never.
type Config struct {
	Seed uint64
	// One direction of a call takes from Delay/2 to 3/2 Delay (default 1 ms); one
	// in TailOneIn takes up to Tail instead.
	Delay     time.Duration
	Tail      time.Duration
	TailOneIn int
	// Rates, in calls per thousand.
	LoseReply   int // executed, and the response never arrives
	FailBefore  int // not executed, and an error returned
	LandLate    int // the caller gets an error; it is executed up to LateBy afterwards
	CancelWatch int // of deliveries: the watch ends with an error
	// LateBy is how late at most (default 3 s).
	LateBy time.Duration
	// ReplyTimeout is when a caller without a response gets an error (default 5
	// s); its own context may be shorter.
	ReplyTimeout time.Duration
	// Progress is the interval of progress responses of a watch without events
	// (default 1 s).
	Progress time.Duration
	// Spread, where not zero, makes a watch deliver one revision at a time, up to
	// Spread apart: then a follower applies one entry at an instant, and
	// goroutines that it wakes do not race with the next one.
	Spread time.Duration
	// Instants, where not nil, separates the effects of calls, their responses
	// and the deliveries of watches in time from all others that take an instant
	// there.
	Instants *Instants
	// Script, where not nil, decides the outcome of a call first.
	Script func(Call) (CallOutcome, bool)
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Delay, time.Millisecond)
	def(&c.Tail, 200*time.Millisecond)
	def(&c.LateBy, 3*time.Second)
	def(&c.ReplyTimeout, 5*time.Second)
	def(&c.Progress, time.Second)
	if c.Instants == nil {
		c.Instants = &Instants{}
	}
	return c
}

// Call identifies a call. Attempt counts the client's calls of this op and key,
// from 0; calls of one instant share a number, and Sum distinguishes them.
type Call struct {
	Client  string
	Op      string // range, txn, compact, grant, keepalive, revoke, status, alive, watch
	Key     string // the first key of a txn's puts, else of its comparisons; a watch's: the revision delivered
	Attempt int
	Sum     uint32 // CRC of a range's or txn's bytes
}

// CallOutcome is the outcome of a call.
type CallOutcome struct {
	Before, After time.Duration // of the request, and of the response
	FailBefore    bool
	LoseReply     bool
	NoSpace       bool // executed, and the error is ErrNoSpace, as in etcd when its quota is exceeded
	// Late: the caller gets an error after Before, and the effect comes Late
	// after that.
	Late time.Duration
}

// generateOutcome generates the outcome of a call.
func (c *Config) generateOutcome(call Call) CallOutcome {
	id := fmt.Sprintf("%s/%s/%s/%08x", call.Client, call.Op, call.Key, call.Sum)
	f := CallOutcome{Before: c.generateDelay("before", id, call.Attempt), After: c.generateDelay("after", id, call.Attempt)}
	if c.Script != nil {
		if s, ok := c.Script(call); ok {
			f.FailBefore, f.LoseReply, f.NoSpace, f.Late = s.FailBefore, s.LoseReply, s.NoSpace, s.Late
			f.Before, f.After = f.Before+s.Before, f.After+s.After
			return f
		}
	}
	switch roll := int(c.generateNumber("fault", id, call.Attempt) % 1000); {
	case roll < c.LoseReply:
		f.LoseReply = true
	case roll < c.LoseReply+c.FailBefore:
		f.FailBefore = true
	case roll < c.LoseReply+c.FailBefore+c.LandLate:
		f.Late = 1 + time.Duration(c.generateNumber("late", id, call.Attempt)%uint64(c.LateBy))
	}
	return f
}

// generateDelay generates the delay of one direction of a call, to the
// nanosecond.
func (c *Config) generateDelay(way, id string, n int) time.Duration {
	v := c.generateNumber(way, id, n)
	if c.TailOneIn > 0 && v%uint64(c.TailOneIn) == 0 {
		return 1 + time.Duration((v>>16)%uint64(c.Tail))
	}
	return c.Delay/2 + 1 + time.Duration((v>>16)%uint64(c.Delay))
}

// generateNumber returns a number that depends on its arguments and the seed
// only.
func (c *Config) generateNumber(kind, id string, n int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%s/%d", c.Seed, kind, id, n)
	v := h.Sum64()
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	v *= 0xc4ceb9fe1a85ec53
	return v ^ v>>33
}
