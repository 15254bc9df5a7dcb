package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/broker/schema"
)

const (
	// ordinaryBytes is taken for what every request and its answer need beside
	// what was measured.
	ordinaryBytes = 4 << 10
	// answerFactor is how many times the memory of a request its answer takes
	// where nothing else is known of it.
	answerFactor = 6
)

// maxHeavy is how many requests that take more than smallBytes, or whose answers
// do, are worked on at once: others' small requests find a processor free, and
// what is built for an answer is bounded by one of them.
const maxHeavy = 1

// maxHeavyRest bounds the rest after heavy work: as long as it took, so that such
// work takes half of a processor at most however much of it is asked for.
const maxHeavyRest = time.Second

// loadShapes gives the rows of the table the shapes of their requests.
func loadShapes(table []api) error {
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
	s      *Server
	conn   *conn
	memory grant
	heavy  bool // one of few that may take much memory and time
	since  time.Time
}

// admit measures a request's body and waits for the memory that it will take
// once it is decoded. An error ends the connection.
func (s *Server) admit(ctx context.Context, r *request) (a admission, size schema.Size, err error) {
	if size, err = r.api.shapes[r.version].Measure(r.body); err != nil {
		return a, size, decodeError(r, err)
	}
	a.s, a.conn = s, r.conn
	need := size.Bytes + ordinaryBytes
	if need > s.requests.large.size {
		return a, size, decodeError(r, fmt.Errorf("%d bytes on the wire would take %d bytes of memory, at most %d", len(r.body), need, s.requests.large.size))
	}
	if need > smallBytes {
		if err := a.beHeavy(ctx); err != nil {
			return a, size, err
		}
	}
	if a.memory, err = s.requests.acquire(ctx, r.conn, need); err != nil {
		a.release()
	}
	return a, size, err
}

// expect judges how many bytes the answer may have: what has many waits for its
// turn.
func (a *admission) expect(ctx context.Context, bytes int64) error {
	if bytes > smallBytes && !a.heavy {
		return a.beHeavy(ctx)
	}
	return nil
}

// beHeavy waits for the right to do heavy work. The connection is watched
// meanwhile: work stops when its client has gone.
func (a *admission) beHeavy(ctx context.Context) error {
	a.conn.heavy.Store(true)
	a.s.wakeRelief()
	select {
	case a.s.heavy <- struct{}{}:
		a.heavy, a.since = true, time.Now()
		return nil
	case <-ctx.Done():
		a.conn.heavy.Store(false)
		return ctx.Err()
	}
}

// lighten ends the heavy work of a request that goes on: what follows waits for
// the log, and others may work meanwhile.
func (a *admission) lighten() {
	if a.heavy {
		a.heavy = false
		time.AfterFunc(min(time.Since(a.since), maxHeavyRest), func() { <-a.s.heavy })
	}
}

// release gives everything back; it may be called again.
func (a *admission) release() {
	a.memory.release()
	a.lighten()
	a.conn.heavy.Store(false)
}
