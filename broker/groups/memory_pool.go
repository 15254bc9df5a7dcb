package groups

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// memoryPool counts the memory that the members of all groups of this broker
// take, including requests on their way to a group. It refuses where it is full,
// and nothing waits for it: members stay for hours (broker's memoryPool bounds
// memory that is released within seconds, and queues). It is safe for concurrent
// use.
type memoryPool struct {
	limit int64
	used  atomic.Int64
}

// ordinaryRequestBytes is the largest request of an ordinary member: only those
// may take the last eighth of the pool.
const ordinaryRequestBytes = 64 << 10

// reserveBytes reserves n bytes; nil if the pool is full. Zero bytes always
// succeed: heartbeats go on.
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

// memoryReservation is a request's part of a pool until its group accounts for it.
type memoryReservation struct {
	pool  *memoryPool
	bytes atomic.Int64
}

// release gives everything back; it may be called again.
func (l *memoryReservation) release() { l.pool.used.Add(-l.bytes.Swap(0)) }

// reserveMemory reserves n bytes of the coordinator's pool for a request to a
// group; nil, and a line in the log, if the pool is full.
func (c *Coordinator) reserveMemory(n int, group string) *memoryReservation {
	l := c.pool.reserveBytes(n)
	if l == nil {
		c.logLimit("group members rejected: the memory limit for group members on this broker is reached",
			"group", group, "requested", n, "bytes", c.cfg.MaxMemberBytes)
	}
	return l
}

// logLimit logs that a limit rejects members, at most once a minute.
func (c *Coordinator) logLimit(text string, about ...any) {
	now := time.Now().UnixNano()
	if last := c.lastLimitLog.Load(); (last == 0 || now-last >= int64(limitLogInterval)) && c.lastLimitLog.CompareAndSwap(last, now) {
		c.cfg.Log.Warn(text, about...)
	}
}

// updatePoolUse accounts for what the group holds now. Only the group's goroutine
// calls it.
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

// MemberBytes returns the bytes of memory that the members of all groups of this
// broker take, and their limit.
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
