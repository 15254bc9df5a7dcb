package groups

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// group is the goroutine that owns one live group's state machine.
type group struct {
	c    *Coordinator
	slot *ownedSlot
	name string

	mailbox chan func(now time.Time)
	written chan int16    // outcome of the write in flight
	done    chan struct{} // closed when the goroutine ended
	refs    int           // callers that may still use the mailbox; under Coordinator.mu
	summary atomic.Pointer[summary]

	// Owned by the goroutine.
	classic      *classicGroup  // of the classic protocol; empty while consumer is set
	consumer     *consumerGroup // of the consumer protocol, or nil
	currentWrite *groupWrite
	pooledBytes  int                   // bytes of this group in the coordinator's pool
	openCommits  int                   // commits and deletions that were admitted and are not resolved
	deferred     []func(now time.Time) // wait until no write is queued or in flight
}

// summary is what ListGroups shows.
type summary struct{ state, protocolType, kind string }

// run is the goroutine: it owns the state machine until the slot is lost or the
// group is empty and idle.
func (g *group) run() {
	defer close(g.done)
	defer g.releasePoolUse()
	g.loadMembers(time.Now())
	timer := time.NewTimer(groupIdleTimeout)
	defer timer.Stop()
	for {
		g.revertToClassic(time.Now())
		g.startWrite()
		g.startBatch(time.Now())
		g.runDeferred(time.Now())
		g.updatePoolUse()
		g.summary.Store(g.newSummary())
		timer.Reset(g.sleepTime(time.Now()))
		select {
		case f := <-g.mailbox:
			f(time.Now())
		case code := <-g.written:
			g.endWrite(code)
		case <-timer.C:
			idle := g.nextDeadline().IsZero()
			g.handleDeadlines(time.Now())
			if idle && g.isIdle() && g.c.retireGroup(g) {
				return
			}
		case <-g.slot.ctx.Done():
			g.failWaiting()
			return
		}
	}
}

func (g *group) loadMembers(now time.Time) {
	limits := g.c.limits
	var head *metadata.ConsumerGroup
	var members []metadata.MemberView
	g.c.cfg.Replica.View(func(s *metadata.State) {
		v, ok := s.Group(g.name)
		switch {
		case ok && v.Group != nil:
			g.classic = loadClassicGroup(v.Group, limits, now)
		case ok && v.Consumer != nil:
			head, members = v.Consumer, s.Members(g.name)
		}
	})
	if g.classic == nil {
		g.classic = newClassicGroup(g.name, limits)
	}
	if head != nil {
		g.consumer = g.newConsumerGroup()
		g.consumer.loadMembers(head, members, now)
	}
}

// newConsumerGroup returns this group as an empty one of the consumer protocol.
func (g *group) newConsumerGroup() *consumerGroup {
	return newConsumerGroup(g.name, g.c.limits, g.c.readMemberTimeouts(g.name), (*coordinatorTopics)(g.c))
}

// handleDeadlines handles the deadlines that have passed.
func (g *group) handleDeadlines(now time.Time) {
	if g.consumer != nil {
		g.consumer.handleDeadlines(now)
		return
	}
	g.classic.handleDeadlines(now)
}

func (g *group) newSummary() *summary {
	if g.consumer != nil {
		return &summary{g.consumer.stateName(), protocolTypeConsumer, groupTypeConsumer}
	}
	return &summary{g.classic.state.String(), g.classic.protocolType, groupTypeClassic}
}

// isEmpty reports whether the group has no members.
func (g *group) isEmpty() bool {
	if g.consumer != nil {
		return len(g.consumer.members) == 0
	}
	return g.classic.state == stateEmpty
}

// nextDeadline is not after the earliest deadline; zero if there is none.
func (g *group) nextDeadline() time.Time {
	if g.consumer != nil {
		return g.consumer.nextDeadline
	}
	return g.classic.nextDeadline
}

// sleepTime returns the time until the next deadline.
func (g *group) sleepTime(now time.Time) time.Duration {
	if due := g.nextDeadline(); !due.IsZero() {
		return max(due.Sub(now), 0)
	}
	return groupIdleTimeout
}

func (g *group) isIdle() bool {
	return g.classic.isIdle() && (g.consumer == nil || g.consumer.isIdle()) && g.currentWrite == nil && g.openCommits == 0
}

// isWriting reports whether a write is queued or in flight.
func (g *group) isWriting() bool {
	return g.currentWrite != nil || len(g.classic.writes) > 0 || g.consumer != nil && (g.consumer.writeBuffer.inFlight != nil || g.consumer.writeBuffer.shouldWrite(time.Now()))
}

// startWrite starts the oldest queued write. It waits until the commits that
// were admitted before are resolved: a member that learns of a new generation
// must find the offsets of the previous one.
func (g *group) startWrite() {
	for g.currentWrite == nil && g.openCommits == 0 && len(g.classic.writes) > 0 {
		w := g.classic.writes[0]
		g.classic.writes = g.classic.writes[1:]
		if w.group == nil {
			g.c.cfg.Log.Warn("group is too large for one log entry", "group", g.name, "members", len(g.classic.members))
			w.done(time.Now(), kerr.MessageTooLarge.Code)
			continue
		}
		g.currentWrite = &w
		g.c.wg.Go(func() { g.written <- g.storeGroup(w.group) })
	}
}

// startBatch starts the write of all changes of a group of the consumer
// protocol. Like startWrite it waits for the commits that were admitted before.
func (g *group) startBatch(now time.Time) {
	if g.consumer == nil || g.currentWrite != nil || g.openCommits > 0 || !g.consumer.writeBuffer.shouldWrite(now) {
		return
	}
	f := g.consumer.takeBatch(g.slot.epoch)
	g.c.wg.Go(func() {
		code := noError
		for _, cmds := range f.entries {
			if code = g.submitCommands(cmds); code != noError {
				break
			}
		}
		g.written <- code
	})
}

func (g *group) endWrite(code int16) {
	if g.currentWrite == nil {
		g.consumer.writeBuffer.completeBatch(time.Now(), code)
		if at := g.consumer.writeBuffer.retryAt; !at.IsZero() {
			g.consumer.scheduleDeadline(at)
		}
		return
	}
	w := g.currentWrite
	g.currentWrite = nil
	w.done(time.Now(), code)
}

// runDeferred runs the functions that waited for the group's writes.
func (g *group) runDeferred(now time.Time) {
	for len(g.deferred) > 0 && !g.isWriting() {
		f := g.deferred[0]
		g.deferred = g.deferred[1:]
		f(now)
	}
}

// storeGroup writes the group under the slot's epoch.
func (g *group) storeGroup(stored *metadata.Group) int16 {
	return g.submitCommands([]metadata.Command{metadata.PutGroup{Epoch: g.slot.epoch, Group: *stored}})
}

// submitCommands writes commands as one entry.
func (g *group) submitCommands(cmds []metadata.Command) int16 {
	ctx, cancel := context.WithTimeout(g.slot.ctx, 2*g.c.cfg.WriteTimeout)
	defer cancel()
	out, err := g.c.cfg.Writer.Submit(ctx, cmds, nil)
	code := g.c.resolveWrite(g.slot, out, err)
	if code != noError {
		g.c.cfg.Log.Warn("write group failed", "group", g.name, "code", code, "err", err)
	}
	return code
}

// failWaiting completes all waiting requests after the slot is lost. Parked
// requests come first, so that a failed write finds no member to start a
// rebalance with.
func (g *group) failWaiting() {
	g.classic.failParked(kerr.NotCoordinator.Code)
	if g.consumer != nil {
		g.consumer.writeBuffer.failDeferred(kerr.NotCoordinator.Code)
	}
	if g.currentWrite != nil {
		g.classic.writes = append([]groupWrite{*g.currentWrite}, g.classic.writes...)
		g.currentWrite = nil
	}
	for len(g.classic.writes) > 0 {
		w := g.classic.writes[0]
		g.classic.writes = g.classic.writes[1:]
		w.done(time.Now(), kerr.NotCoordinator.Code)
	}
}

// post sends f to the goroutine; false if it has ended.
func (g *group) post(f func(now time.Time)) bool {
	select {
	case <-g.done:
		return false
	default:
	}
	select {
	case g.mailbox <- f:
		return true
	case <-g.done:
		return false
	}
}

// callGroup runs f in the group's goroutine and waits for its reply, which f
// makes then or later, at most once. It returns gone if the slot is lost
// before. If ctx ends, cancel runs in the goroutine instead.
func callGroup[T any](ctx context.Context, g *group, gone T, f func(now time.Time, reply func(T)), cancel func(now time.Time)) T {
	answer := make(chan T, 1)
	if !g.post(func(now time.Time) { f(now, func(t T) { answer <- t }) }) {
		return gone
	}
	quit := ctx.Done()
	for {
		select {
		case t := <-answer:
			return t
		case <-g.done:
			select {
			case t := <-answer:
				return t
			default:
				return gone
			}
		case <-quit:
			if cancel == nil {
				quit = nil // the reply depends on no other member, so it comes soon
				continue
			}
			g.post(cancel)
			return gone
		}
	}
}

// queryGroup runs a function in the group's goroutine that returns its result
// at once.
func queryGroup[T any](ctx context.Context, g *group, gone T, f func(now time.Time) T) T {
	return callGroup(ctx, g, gone, func(at time.Time, reply func(T)) { reply(f(at)) }, nil)
}
