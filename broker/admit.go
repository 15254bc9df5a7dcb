package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/broker/schema"
)

const (
	// requestOverheadBytes is taken for what every request and its answer need beside
	// what was measured.
	requestOverheadBytes = 4 << 10
	// responseSizeFactor is how many times the memory of a request its answer takes
	// where nothing else is known of it.
	responseSizeFactor = 6
)

// maxHeavyRequests is how many requests that take more than smallBytes, or whose answers
// do, are worked on at once: others' small requests find a processor free, and
// what is built for an answer is bounded by one of them.
const maxHeavyRequests = 1

// maxHeavyPause bounds the rest after heavy work: as long as it took, so that such
// work takes half of a processor at most however much of it is asked for.
const maxHeavyPause = time.Second

// loadRequestShapes gives the rows of the table the shapes of their requests.
func loadRequestShapes(table []api) error {
	ranges := map[int16][2]int16{}
	for i := range table {
		ranges[table[i].key] = [2]int16{table[i].min, table[i].max}
	}
	t, err := schema.Load(ranges)
	if err != nil {
		return err
	}
	for i := range table {
		a := &table[i]
		a.shapes = make([]*schema.Shape, a.max+1)
		for v := a.min; v <= a.max; v++ {
			a.shapes[v] = t.Shape(a.key, v)
		}
	}
	return nil
}

// admission is a request's right to memory and to work. Its owner is the
// connection's writer.
type admission struct {
	s          *Server
	conn       *conn
	memory     grant
	heavy      bool // one of few that may take much memory and time
	heavySince time.Time
}

// admitRequest measures a request's body and waits for the memory that it will take
// once it is decoded. An error ends the connection.
func (s *Server) admitRequest(ctx context.Context, r *request) (a admission, size schema.Size, err error) {
	if size, err = r.api.shapes[r.version].Measure(r.body); err != nil {
		return a, size, newDecodeError(r, err)
	}
	a.s, a.conn = s, r.conn
	need := size.Bytes + requestOverheadBytes
	if need > s.requests.large.Limit() {
		return a, size, newDecodeError(r, fmt.Errorf("request of %d bytes would need %d bytes of memory, limit %d", len(r.body), need, s.requests.large.Limit()))
	}
	if need > smallBytes {
		if err := a.acquireHeavySlot(ctx); err != nil {
			return a, size, err
		}
	}
	if a.memory, err = s.requests.acquire(ctx, r.conn, need); err != nil {
		a.releaseAll()
	}
	return a, size, err
}

// expectResponseBytes judges how many bytes the answer may have: what has many waits for its
// turn.
func (a *admission) expectResponseBytes(ctx context.Context, bytes int64) error {
	if bytes > smallBytes && !a.heavy {
		return a.acquireHeavySlot(ctx)
	}
	return nil
}

// acquireHeavySlot waits for the right to do heavy work. The connection is watched
// meanwhile: work stops when its client has gone.
func (a *admission) acquireHeavySlot(ctx context.Context) error {
	a.conn.isHeavy.Store(true)
	a.s.wakeStallWatch()
	select {
	case a.s.heavySlots <- struct{}{}:
		a.heavy, a.heavySince = true, time.Now()
		return nil
	case <-ctx.Done():
		a.conn.isHeavy.Store(false)
		return ctx.Err()
	}
}

// releaseHeavySlot ends the heavy work of a request that goes on: what follows waits for
// the log, and others may work meanwhile.
func (a *admission) releaseHeavySlot() {
	if a.heavy {
		a.heavy = false
		time.AfterFunc(min(time.Since(a.heavySince), maxHeavyPause), func() { <-a.s.heavySlots })
	}
}

// releaseAll gives everything back; it may be called again.
func (a *admission) releaseAll() {
	a.memory.releaseAll()
	a.releaseHeavySlot()
	a.conn.isHeavy.Store(false)
}
