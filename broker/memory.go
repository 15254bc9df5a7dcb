package broker

import (
	"context"
	"sync/atomic"
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

// newMemory makes a memory of size bytes, of which small are the small lane's.
func newMemory(size, small int64) *memory {
	return &memory{small: newBudget(small), large: newBudget(size - small), each: size / 8}
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
	return m.lane(n).grant(ctx, c, n)
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

// grant waits for n bytes of a budget, which count as the connection's.
func (b *budget) grant(ctx context.Context, c *conn, n int64) (grant, error) {
	n, err := b.acquire(ctx, n)
	if err != nil {
		return grant{}, err
	}
	return newGrant(b, c, n), nil
}

// add enlarges a grant by n bytes that were taken from its budget.
func (g *grant) add(n int64) {
	g.n += n
	if g.holds != nil {
		g.holds.Add(n)
	}
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
