package broker

import (
	"context"
	"sync/atomic"

	"github.com/zonewise/zonewise/internal/membudget"
)

// smallBytes is the most that the small lane of a pool grants at once: an
// ordinary request, and its response.
const smallBytes = 1 << 20

// memoryPool bounds the memory of one kind (frames, requests, responses) that a
// server holds, in two lanes: a small request never waits for large ones, nor
// for a slow client that holds a large one. groups' memoryPool is another thing:
// it counts what stays, and refuses instead of waiting.
type memoryPool struct {
	small, large *membudget.Budget
	// maxPerConn is how much of the large lane one connection may hold while its
	// client has to read or to send: a client that does neither leaves seven
	// eighths to the others.
	maxPerConn int64
}

// newMemoryPool makes a pool of size bytes, of which small are the small lane's.
// onWait is called when a request has to wait.
func newMemoryPool(size, small int64, onWait func()) *memoryPool {
	return &memoryPool{small: membudget.New(small, onWait), large: membudget.New(size-small, onWait), maxPerConn: size / 8}
}

// budgetFor returns the lane that grants n bytes.
func (m *memoryPool) budgetFor(n int64) *membudget.Budget {
	if n <= smallBytes {
		return m.small
	}
	return m.large
}

// acquire waits for n bytes, accounted to the connection.
func (m *memoryPool) acquire(ctx context.Context, c *conn, n int64) (grant, error) {
	return acquireGrant(ctx, m.budgetFor(n), c, n)
}

// try takes n bytes if they are free now.
func (m *memoryPool) try(c *conn, n int64) (grant, bool) {
	from := m.budgetFor(n)
	if !from.TryAcquire(n) {
		return grant{}, false
	}
	return newGrant(from, c, n), true
}

// used returns how many bytes are taken.
func (m *memoryPool) used() int64 { return usedBytes(m.small) + usedBytes(m.large) }

func usedBytes(b *membudget.Budget) int64 {
	n, _ := b.Used()
	return n
}

// grant is a part of a budget; the zero value is empty. One goroutine at a time
// owns it.
type grant struct {
	from          *membudget.Budget
	connHeldBytes *atomic.Int64 // all that the connection holds
	size          int64
}

func newGrant(from *membudget.Budget, c *conn, n int64) grant {
	g := grant{from: from, size: n}
	if c != nil {
		g.connHeldBytes = &c.heldBytes
		g.connHeldBytes.Add(n)
	}
	return g
}

// acquireGrant waits for n bytes of a budget, accounted to the connection. More
// than the whole budget is reduced to it.
func acquireGrant(ctx context.Context, from *membudget.Budget, c *conn, n int64) (grant, error) {
	n = min(n, from.Limit())
	if err := from.Acquire(ctx, n, nil); err != nil {
		return grant{}, err
	}
	return newGrant(from, c, n), nil
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
		g.from.Release(back)
		if g.connHeldBytes != nil {
			g.connHeldBytes.Add(-back)
		}
		g.size = n
	}
}

// releaseAll gives everything back; it may be called again.
func (g *grant) releaseAll() { g.shrink(0) }
