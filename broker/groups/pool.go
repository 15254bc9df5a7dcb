package groups

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// pool counts what the members of all groups of this broker take in memory,
// what is on its way to a group included. It is safe for concurrent use.
type pool struct {
	limit int64
	used  atomic.Int64
}

// plainBytes is the most that an ordinary member says of itself: it may take
// the last eighth of the pool, which large ones leave.
const plainBytes = 64 << 10

// take lends n bytes; nil where they are not there. Nothing is always there:
// heartbeats go on.
func (p *pool) take(n int) *loan {
	if n == 0 {
		return &loan{pool: p}
	}
	limit := p.limit
	if n > plainBytes {
		limit -= limit / 8
	}
	if p.used.Add(int64(n)) > limit {
		p.used.Add(-int64(n))
		return nil
	}
	l := &loan{pool: p}
	l.n.Store(int64(n))
	return l
}

// loan is what a request holds of a pool until its group counts it.
type loan struct {
	pool *pool
	n    atomic.Int64
}

// end gives everything back; it may be called again.
func (l *loan) end() { l.pool.used.Add(-l.n.Swap(0)) }

// borrow takes of the coordinator's pool what a request for a group holds; nil
// where it has no room, which the log is told.
func (c *Coordinator) borrow(n int, group string) *loan {
	l := c.pool.take(n)
	if l == nil {
		c.sayLimit("members are turned away for a while: those of this broker's groups take as much memory as they may",
			"group", group, "asked", n, "bytes", c.cfg.MaxMemberBytes)
	}
	return l
}

// sayLimit writes to the log that a limit turns members away, at most once a
// minute.
func (c *Coordinator) sayLimit(text string, about ...any) {
	now := time.Now().UnixNano()
	if last := c.said.Load(); (last == 0 || now-last >= int64(limitSaidEvery)) && c.said.CompareAndSwap(last, now) {
		c.cfg.Log.Warn(text, about...)
	}
}

// account brings up to date what the group holds of the pool. It belongs to
// the group's goroutine.
func (g *group) account() {
	n := g.m.bytes + g.m.handed
	if g.k != nil {
		n += g.k.bytes
	}
	g.c.pool.used.Add(int64(n - g.counted))
	g.counted = n
}

// forget gives back what the group held.
func (g *group) forget() {
	g.c.pool.used.Add(-int64(g.counted))
	g.counted = 0
}

// MemberBytes is what the members of all groups of this broker take in memory,
// and how much they may.
func (c *Coordinator) MemberBytes() (used, limit int) {
	return int(c.pool.used.Load()), int(c.pool.limit)
}

func joinBytes(r *kmsg.JoinGroupRequest) int {
	n := bytesOfMember + len(r.MemberID)
	for i := range r.Protocols {
		n += bytesOfProtocol + len(r.Protocols[i].Name) + len(r.Protocols[i].Metadata)
	}
	return n
}

func syncBytes(r *kmsg.SyncGroupRequest) (n int) {
	for i := range r.GroupAssignment {
		n += bytesOfProtocol + len(r.GroupAssignment[i].MemberID) + len(r.GroupAssignment[i].MemberAssignment)
	}
	return n
}

func beatBytes(r *kmsg.ConsumerGroupHeartbeatRequest) (n int) {
	for _, t := range r.SubscribedTopicNames {
		n += bytesOfTopic + len(t)
	}
	return n
}
