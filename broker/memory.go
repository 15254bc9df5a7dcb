package broker

import (
	"context"
	"sync/atomic"
	"time"
)

// smallBytes is the most that the small lane of a memory gives at once: an
// ordinary request, and its answer.
const smallBytes = 1 << 20

// memory is what a server may hold of one kind (frames, requests, answers), in
// two lanes: who needs little never waits behind who needs much, nor for a
// large one whose client is slow.
type memory struct {
	small, large *budget
	// each is the most that one connection may hold of the large lane while
	// its client has to read or to send: one client that does neither leaves
	// the others seven eighths.
	each int64
}

func newMemory(size int64) *memory {
	return &memory{small: newBudget(size / 4), large: newBudget(size - size/4), each: size / 8}
}

// lane is where n bytes come from.
func (m *memory) lane(n int64) *budget {
	if n <= smallBytes {
		return m.small
	}
	return m.large
}

// acquire waits for n bytes, which count as the connection's.
func (m *memory) acquire(ctx context.Context, c *conn, n int64) (grant, error) {
	from := m.lane(n)
	n, err := from.acquire(ctx, n)
	if err != nil {
		return grant{}, err
	}
	return newGrant(from, c, n), nil
}

// try takes n bytes if they are there at once.
func (m *memory) try(c *conn, n int64) (grant, bool) {
	from := m.lane(n)
	if !from.try(n) {
		return grant{}, false
	}
	return newGrant(from, c, n), true
}

// used is how many bytes are held.
func (m *memory) used() int64 { return m.small.used() + m.large.used() }

// waited is how long the one that has waited longest for a lane has waited.
func (m *memory) waited(now time.Time) time.Duration {
	return max(m.small.waited(now), m.large.waited(now))
}

// grant is a part of a budget that is held; the zero value holds nothing. Its
// owner is one goroutine at a time.
type grant struct {
	from  *budget
	holds *atomic.Int64 // what the connection holds in all
	n     int64
}

func newGrant(from *budget, c *conn, n int64) grant {
	g := grant{from: from, n: n}
	if c != nil {
		g.holds = &c.holds
		g.holds.Add(n)
	}
	return g
}

// shrink gives back all but n bytes.
func (g *grant) shrink(n int64) {
	if back := g.n - n; back > 0 {
		g.from.release(back)
		if g.holds != nil {
			g.holds.Add(-back)
		}
		g.n = n
	}
}

// release gives everything back; it may be called again.
func (g *grant) release() { g.shrink(0) }
