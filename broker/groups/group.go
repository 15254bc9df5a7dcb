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
	m       *machine
	writing *storedWrite
	commits int                   // commits and deletions that were let through and are not resolved
	later   []func(now time.Time) // wait until no write is queued or in flight
}

// summary is what ListGroups shows.
type summary struct{ state, protocolType string }

// run is the goroutine: it owns the machine until the slot is lost or the
// group is empty and quiet.
func (g *group) run() {
	defer close(g.done)
	g.load(time.Now())
	timer := time.NewTimer(idleAfter)
	defer timer.Stop()
	for {
		g.startWrite()
		g.runLater(time.Now())
		g.summary.Store(&summary{g.m.state.String(), g.m.protocolType})
		timer.Reset(g.sleep(time.Now()))
		select {
		case f := <-g.mailbox:
			f(time.Now())
		case code := <-g.written:
			g.endWrite(code)
		case <-timer.C:
			g.m.tick(time.Now())
			if g.quiet() && g.c.retire(g) {
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
	g.c.cfg.Replica.View(func(s *metadata.State) {
		if v, ok := s.Group(g.name); ok && v.Group != nil {
			g.m = loadMachine(v.Group, limits, now)
		}
	})
	if g.m == nil {
		g.m = newMachine(g.name, limits)
	}
}

// sleep is how long nothing is due.
func (g *group) sleep(now time.Time) time.Duration {
	if g.m.due.IsZero() {
		return idleAfter
	}
	return max(g.m.due.Sub(now), 0)
}

func (g *group) quiet() bool { return g.m.idle() && g.writing == nil && g.commits == 0 }

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

func (g *group) endWrite(code int16) {
	w := g.writing
	g.writing = nil
	w.done(time.Now(), code)
}

// runLater runs what had to wait for the group's writes.
func (g *group) runLater(now time.Time) {
	for len(g.later) > 0 && g.writing == nil && len(g.m.writes) == 0 {
		f := g.later[0]
		g.later = g.later[1:]
		f(now)
	}
}

// put stores the group under the slot's epoch.
func (g *group) put(stored *metadata.Group) int16 {
	ctx, cancel := context.WithTimeout(g.hold.ctx, 2*g.c.cfg.WriteTimeout)
	defer cancel()
	out, err := g.c.cfg.Writer.Submit(ctx, []metadata.Command{metadata.PutGroup{Epoch: g.hold.epoch, Group: *stored}}, nil)
	code := g.c.settle(g.hold, out, err)
	if code != codeOK {
		g.c.cfg.Log.Warn("store group", "group", stored.Name, "generation", stored.Generation, "code", code, "err", err)
	}
	if code == codeInvalidCommitSize { // no room for one more group
		return codeNotAvailable
	}
	return code
}

// lose answers everybody who waits: the slot is another's. Parked calls come
// first, so that a failed write finds nobody to begin a rebalance with.
func (g *group) lose() {
	g.m.abandon(codeNotCoordinator)
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

// now runs a function of the machine that answers at once.
func now[T any](ctx context.Context, g *group, gone T, f func(m *machine, now time.Time) T) T {
	return ask(ctx, g, gone, func(at time.Time, reply func(T)) { reply(f(g.m, at)) }, nil)
}
