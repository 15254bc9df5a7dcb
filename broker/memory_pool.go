package broker

import (
	"context"
	"sync/atomic"
)

// smallBytes is the most that the small lane of a memory gives at once: an
// ordinary request, and its answer.
const smallBytes = 1 << 20

// memoryPool is what a server may hold of one kind (frames, requests, answers), in
// two lanes: who needs little never waits behind who needs much, nor for a
// large one whose client is slow.
type memoryPool struct {
	small, large *budget
	// maxPerConn is the most that one connection may hold of the large lane while
	// its client has to read or to send: one client that does neither leaves
	// the others seven eighths.
	maxPerConn int64
}

// newMemoryPool makes a memory of size bytes, of which small are the small lane's.
func newMemoryPool(size, small int64) *memoryPool {
	return &memoryPool{small: newBudget(small), large: newBudget(size - small), maxPerConn: size / 8}
}

// budgetFor is where n bytes come from.
func (m *memoryPool) budgetFor(n int64) *budget {
	if n <= smallBytes {
		return m.small
	}
	return m.large
}

// acquire waits for n bytes, which count as the connection's.
func (m *memoryPool) acquire(ctx context.Context, c *conn, n int64) (grant, error) {
	return m.budgetFor(n).acquireGrant(ctx, c, n)
}

// try takes n bytes if they are there at once.
func (m *memoryPool) try(c *conn, n int64) (grant, bool) {
	from := m.budgetFor(n)
	if !from.try(n) {
		return grant{}, false
	}
	return newGrant(from, c, n), true
}

// used is how many bytes are held.
func (m *memoryPool) used() int64 { return m.small.used() + m.large.used() }

// grant is a part of a budget that is held; the zero value holds nothing. Its
// owner is one goroutine at a time.
type grant struct {
	from          *budget
	connHeldBytes *atomic.Int64 // what the connection holds in all
	size          int64
}

func newGrant(from *budget, c *conn, n int64) grant {
	g := grant{from: from, size: n}
	if c != nil {
		g.connHeldBytes = &c.heldBytes
		g.connHeldBytes.Add(n)
	}
	return g
}

// acquireGrant waits for n bytes of a budget, which count as the connection's.
func (b *budget) acquireGrant(ctx context.Context, c *conn, n int64) (grant, error) {
	n, err := b.acquire(ctx, n)
	if err != nil {
		return grant{}, err
	}
	return newGrant(b, c, n), nil
}

// extend enlarges a grant by n bytes that were taken from its budget.
func (g *grant) extend(n int64) {
	g.size += n
	if g.connHeldBytes != nil {
		g.connHeldBytes.Add(n)
	}
}

// shrink gives back all but n bytes.
func (g *grant) shrink(n int64) {
	if back := g.size - n; back > 0 {
		g.from.releaseBytes(back)
		if g.connHeldBytes != nil {
			g.connHeldBytes.Add(-back)
		}
		g.size = n
	}
}

// releaseAll gives everything back; it may be called again.
func (g *grant) releaseAll() { g.shrink(0) }
