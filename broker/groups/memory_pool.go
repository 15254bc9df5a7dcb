package groups

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// memoryPool counts what the members of all groups of this broker take in memory,
// what is on its way to a group included. It is safe for concurrent use.
type memoryPool struct {
	limit int64
	used  atomic.Int64
}

// ordinaryRequestBytes is the most that an ordinary member says of itself: it may take
// the last eighth of the pool, which large ones leave.
const ordinaryRequestBytes = 64 << 10

// reserveBytes lends n bytes; nil where they are not there. Nothing is always there:
// heartbeats go on.
func (p *memoryPool) reserveBytes(n int) *memoryReservation {
	if n == 0 {
		return &memoryReservation{pool: p}
	}
	limit := p.limit
	if n > ordinaryRequestBytes {
		limit -= limit / 8
	}
	if p.used.Add(int64(n)) > limit {
		p.used.Add(-int64(n))
		return nil
	}
	l := &memoryReservation{pool: p}
	l.bytes.Store(int64(n))
	return l
}

// memoryReservation is what a request holds of a pool until its group counts it.
type memoryReservation struct {
	pool  *memoryPool
	bytes atomic.Int64
}

// release gives everything back; it may be called again.
func (l *memoryReservation) release() { l.pool.used.Add(-l.bytes.Swap(0)) }

// reserveMemory takes of the coordinator's pool what a request for a group holds; nil
// where it has no room, which the log is told.
func (c *Coordinator) reserveMemory(n int, group string) *memoryReservation {
	l := c.pool.reserveBytes(n)
	if l == nil {
		c.logLimit("group members rejected: the memory limit for group members on this broker is reached",
			"group", group, "asked", n, "bytes", c.cfg.MaxMemberBytes)
	}
	return l
}

// logLimit writes to the log that a limit turns members away, at most once a
// minute.
func (c *Coordinator) logLimit(text string, about ...any) {
	now := time.Now().UnixNano()
	if last := c.lastLimitLog.Load(); (last == 0 || now-last >= int64(limitLogInterval)) && c.lastLimitLog.CompareAndSwap(last, now) {
		c.cfg.Log.Warn(text, about...)
	}
}

// updatePoolUse brings up to date what the group holds of the pool. It belongs to
// the group's goroutine.
func (g *group) updatePoolUse() {
	n := g.classic.bytes + g.classic.assignmentBytes
	if g.consumer != nil {
		n += g.consumer.bytes
	}
	g.c.pool.used.Add(int64(n - g.pooledBytes))
	g.pooledBytes = n
}

// releasePoolUse gives back what the group held.
func (g *group) releasePoolUse() {
	g.c.pool.used.Add(-int64(g.pooledBytes))
	g.pooledBytes = 0
}

// MemberBytes is what the members of all groups of this broker take in memory,
// and how much they may.
func (c *Coordinator) MemberBytes() (used, limit int) {
	return int(c.pool.used.Load()), int(c.pool.limit)
}

func estimateJoinBytes(r *kmsg.JoinGroupRequest) int {
	n := memberOverheadBytes + len(r.MemberID)
	for i := range r.Protocols {
		n += protocolOverheadBytes + len(r.Protocols[i].Name) + len(r.Protocols[i].Metadata)
	}
	return n
}

func estimateSyncBytes(r *kmsg.SyncGroupRequest) (n int) {
	for i := range r.GroupAssignment {
		n += protocolOverheadBytes + len(r.GroupAssignment[i].MemberID) + len(r.GroupAssignment[i].MemberAssignment)
	}
	return n
}

func estimateHeartbeatBytes(r *kmsg.ConsumerGroupHeartbeatRequest) (n int) {
	for _, t := range r.SubscribedTopicNames {
		n += topicOverheadBytes + len(t)
	}
	return n
}
