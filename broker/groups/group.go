package groups

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// group is the goroutine that owns one live group's machine.
type group struct {
	c    *Coordinator
	hold *hold
	name string

	mailbox chan func(now time.Time)
	written chan int16    // outcome of the write in flight
	done    chan struct{} // closed when the goroutine ended
	refs    int           // callers that may still use the mailbox; under Coordinator.mu
	summary atomic.Pointer[summary]

	// Owned by the goroutine.
	m       *machine // of the classic protocol; empty while k is there
	k       *roster  // of the consumer protocol, or nil
	writing *storedWrite
	counted int                   // bytes that the coordinator's pool has of this group
	commits int                   // commits and deletions that were let through and are not resolved
	later   []func(now time.Time) // wait until no write is queued or in flight
}

// summary is what ListGroups shows.
type summary struct{ state, protocolType, kind string }

// run is the goroutine: it owns the machine until the slot is lost or the
// group is empty and quiet.
func (g *group) run() {
	defer close(g.done)
	defer g.forget()
	g.load(time.Now())
	timer := time.NewTimer(idleAfter)
	defer timer.Stop()
	for {
		g.revert(time.Now())
		g.startWrite()
		g.startFlight(time.Now())
		g.runLater(time.Now())
		g.account()
		g.summary.Store(g.summarize())
		timer.Reset(g.sleep(time.Now()))
		select {
		case f := <-g.mailbox:
			f(time.Now())
		case code := <-g.written:
			g.endWrite(code)
		case <-timer.C:
			idle := g.due().IsZero()
			g.tick(time.Now())
			if idle && g.quiet() && g.c.retire(g) {
				return
			}
		case <-g.hold.ctx.Done():
			g.lose()
			return
		}
	}
}

func (g *group) load(now time.Time) {
	limits := g.c.limits
	var head *metadata.ConsumerGroup
	var members []metadata.MemberView
	g.c.cfg.Replica.View(func(s *metadata.State) {
		v, ok := s.Group(g.name)
		switch {
		case ok && v.Group != nil:
			g.m = loadMachine(v.Group, limits, now)
		case ok && v.Consumer != nil:
			head, members = v.Consumer, s.Members(g.name)
		}
	})
	if g.m == nil {
		g.m = newMachine(g.name, limits)
	}
	if head != nil {
		g.k = g.newRoster()
		g.k.load(head, members, now)
	}
}

// newRoster returns an empty roster of this group.
func (g *group) newRoster() *roster {
	return newRoster(g.name, g.c.limits, g.c.timesOf(g.name), (*topicView)(g.c))
}

// tick does what is due.
func (g *group) tick(now time.Time) {
	if g.k != nil {
		g.k.tick(now)
		return
	}
	g.m.tick(now)
}

func (g *group) summarize() *summary {
	if g.k != nil {
		return &summary{g.k.state(), protocolTypeConsumer, groupTypeConsumer}
	}
	return &summary{g.m.state.String(), g.m.protocolType, groupTypeClassic}
}

// empty reports whether the group has no members.
func (g *group) empty() bool {
	if g.k != nil {
		return len(g.k.members) == 0
	}
	return g.m.state == stateEmpty
}

// due is not after the earliest deadline; zero: there is none.
func (g *group) due() time.Time {
	if g.k != nil {
		return g.k.due
	}
	return g.m.due
}

// sleep is how long nothing is due.
func (g *group) sleep(now time.Time) time.Duration {
	if due := g.due(); !due.IsZero() {
		return max(due.Sub(now), 0)
	}
	return idleAfter
}

func (g *group) quiet() bool {
	return g.m.idle() && (g.k == nil || g.k.idle()) && g.writing == nil && g.commits == 0
}

// busy reports whether a write is queued or on its way.
func (g *group) busy() bool {
	return g.writing != nil || len(g.m.writes) > 0 || g.k != nil && (g.k.book.flying != nil || g.k.book.due(time.Now()))
}

// startWrite sends the oldest write off. It waits until the commits that were
// let through before are resolved: who learns of a new generation must find
// the offsets of the one before.
func (g *group) startWrite() {
	for g.writing == nil && g.commits == 0 && len(g.m.writes) > 0 {
		w := g.m.writes[0]
		g.m.writes = g.m.writes[1:]
		if w.group == nil {
			g.c.cfg.Log.Warn("group does not fit an entry", "group", g.name, "members", len(g.m.members))
			w.done(time.Now(), codeMessageTooLarge)
			continue
		}
		g.writing = &w
		g.c.wg.Go(func() { g.written <- g.put(w.group) })
	}
}

// startFlight sends off what a roster wants written, all of it at once. As
// startWrite it lets the commits before it pass first.
func (g *group) startFlight(now time.Time) {
	if g.k == nil || g.writing != nil || g.commits > 0 || !g.k.book.due(now) {
		return
	}
	f := g.k.take(g.hold.epoch)
	g.c.wg.Go(func() {
		code := codeOK
		for _, cmds := range f.entries {
			if code = g.submit(cmds); code != codeOK {
				break
			}
		}
		g.written <- code
	})
}

func (g *group) endWrite(code int16) {
	if g.writing == nil {
		g.k.book.land(time.Now(), code)
		if at := g.k.book.retry; !at.IsZero() {
			g.k.wake(at)
		}
		return
	}
	w := g.writing
	g.writing = nil
	w.done(time.Now(), code)
}

// runLater runs what had to wait for the group's writes.
func (g *group) runLater(now time.Time) {
	for len(g.later) > 0 && !g.busy() {
		f := g.later[0]
		g.later = g.later[1:]
		f(now)
	}
}

// put stores the group under the slot's epoch.
func (g *group) put(stored *metadata.Group) int16 {
	return g.submit([]metadata.Command{metadata.PutGroup{Epoch: g.hold.epoch, Group: *stored}})
}

// submit writes commands as one entry.
func (g *group) submit(cmds []metadata.Command) int16 {
	ctx, cancel := context.WithTimeout(g.hold.ctx, 2*g.c.cfg.WriteTimeout)
	defer cancel()
	out, err := g.c.cfg.Writer.Submit(ctx, cmds, nil)
	code := g.c.settle(g.hold, out, err)
	if code != codeOK {
		g.c.cfg.Log.Warn("store group", "group", g.name, "code", code, "err", err)
	}
	return code
}

// lose answers everybody who waits: the slot is another's. Parked calls come
// first, so that a failed write finds nobody to begin a rebalance with.
func (g *group) lose() {
	g.m.abandon(codeNotCoordinator)
	if g.k != nil {
		g.k.book.abandon(codeNotCoordinator)
	}
	if g.writing != nil {
		g.m.writes = append([]storedWrite{*g.writing}, g.m.writes...)
		g.writing = nil
	}
	for len(g.m.writes) > 0 {
		w := g.m.writes[0]
		g.m.writes = g.m.writes[1:]
		w.done(time.Now(), codeNotCoordinator)
	}
}

// do hands f to the goroutine; false where it ended.
func (g *group) do(f func(now time.Time)) bool {
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

// ask runs f in the group's goroutine and waits for the reply that it makes
// then or later, at most once. It returns gone where the slot was lost before
// there was one. A caller that gives up has cancel run in its place.
func ask[T any](ctx context.Context, g *group, gone T, f func(now time.Time, reply func(T)), cancel func(now time.Time)) T {
	answer := make(chan T, 1)
	if !g.do(func(now time.Time) { f(now, func(t T) { answer <- t }) }) {
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
				quit = nil // the answer comes without waiting for anybody
				continue
			}
			g.do(cancel)
			return gone
		}
	}
}

// now runs a function in the group's goroutine that answers at once.
func now[T any](ctx context.Context, g *group, gone T, f func(now time.Time) T) T {
	return ask(ctx, g, gone, func(at time.Time, reply func(T)) { reply(f(at)) }, nil)
}
