package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/broker/schema"
)

const (
	// requestOverheadBytes is the memory of every request and its response in addition
	// to what was measured.
	requestOverheadBytes = 4 << 10
	// responseSizeFactor is the estimated ratio of a response's memory to its
	// request's, for APIs without estimateResponse.
	responseSizeFactor = 6
)

// maxHeavyRequests is how many heavy requests (of more than smallBytes, or with
// such responses) are handled at once: the small requests of others find a free
// CPU, and the memory of responses being built is bounded by one of them.
const maxHeavyRequests = 1

// maxHeavyPause bounds the pause after heavy work. The pause is as long as the
// work took, so that heavy work takes at most half of a CPU.
const maxHeavyPause = time.Second

// loadRequestShapes loads the shapes of the requests into the rows of the
// table.
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

// admission is a request's share of memory and of heavy work. The connection's
// writer owns it.
type admission struct {
	s          *Server
	conn       *conn
	memory     grant
	heavy      bool // holds a heavy slot
	heavySince time.Time
}

// admitRequest measures a request's body and waits for the memory that it takes
// once decoded. An error ends the connection.
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

// expectResponseBytes takes a heavy slot if the response may be large.
func (a *admission) expectResponseBytes(ctx context.Context, bytes int64) error {
	if bytes > smallBytes && !a.heavy {
		return a.acquireHeavySlot(ctx)
	}
	return nil
}

// acquireHeavySlot waits for a heavy slot. The connection is watched meanwhile,
// so that the work stops if its client disconnects.
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

// releaseHeavySlot ends the heavy work of a request that continues: the rest
// waits for the log, and others may work meanwhile.
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
