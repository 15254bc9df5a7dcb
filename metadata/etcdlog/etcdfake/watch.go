package etcdfake

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata/etcdlog"
)

// Watch implements etcdlog.Client.
func (c *Client) Watch(ctx context.Context, prefix string, from int64) <-chan etcdlog.WatchResponse {
	out := make(chan etcdlog.WatchResponse)
	w := &watch{c: c, ctx: ctx, prefix: prefix, next: from, out: out}
	c.s.withLock(func() { c.s.stats.Watches++; w.epoch = c.s.epoch })
	if !c.s.runTracked(func() { defer close(out); w.run() }) {
		close(out)
	}
	return out
}

// watch is one watch; its goroutine owns it.
type watch struct {
	c             *Client
	ctx           context.Context
	prefix        string
	next          int64 // first revision not delivered
	epoch         int
	progressNotes int // progress responses so far
	out           chan<- etcdlog.WatchResponse
}

// run delivers until the watch ends. Each delivery waits first, and includes what
// arrives meanwhile.
func (w *watch) run() {
	progress := time.NewTimer(w.progressDelay())
	defer progress.Stop()
	for {
		ready, changed, moved := w.checkReady()
		if !ready {
			select {
			case <-w.ctx.Done():
				return
			case <-w.c.s.done:
				return
			case <-changed:
			case <-moved:
			case <-w.lagTimer():
			case <-progress.C:
				if !w.sendProgress() {
					return
				}
				progress.Reset(w.progressDelay())
			}
			continue
		}
		f := w.c.generateOutcome("watch", fmt.Sprintf("%s@%d", w.prefix, w.next), 0)
		if !w.sleep(f.Before) {
			return
		}
		if cut, _, _, _ := w.c.currentConditions(); cut {
			continue
		}
		if !w.deliverEvents() {
			return
		}
	}
}

// lagTimer wakes a watch whose member lags: it gets revisions as time passes.
func (w *watch) lagTimer() <-chan time.Time {
	if _, lag, _, _ := w.c.currentConditions(); lag > 0 {
		return time.After(lag/2 + w.c.s.cfg.generateDelay("lag", w.c.name+w.prefix, int(w.next)))
	}
	return nil
}

func (w *watch) progressDelay() time.Duration {
	w.progressNotes++
	return w.c.s.cfg.Progress + w.c.s.cfg.generateDelay("progress", w.c.name+w.prefix, w.progressNotes)
}

// checkReady reports whether there is something to deliver, and what to wait for.
func (w *watch) checkReady() (bool, <-chan struct{}, <-chan struct{}) {
	cut, lag, _, moved := w.c.currentConditions()
	s := w.c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if cut {
		return false, nil, moved
	}
	if s.epoch != w.epoch || w.next < s.data.compacted {
		return true, s.changed, moved
	}
	events, rev := w.pendingEvents(s.visibleRevision(lag))
	if len(events) == 0 { // up to date: a later compaction does not affect it
		w.next = max(w.next, rev+1)
	}
	return len(events) > 0, s.changed, moved
}

// pendingEvents returns the puts below the prefix from next up to rev. The
// store's mutex is held.
func (w *watch) pendingEvents(rev int64) ([]*mvccpb.Event, int64) {
	d := &w.c.s.data
	i := sort.Search(len(d.events), func(i int) bool { return d.events[i].rev >= w.next })
	var all []*mvccpb.Event
	for ; i < len(d.events) && d.events[i].rev <= rev; i++ {
		if e := d.events[i].ev; e.Type == mvccpb.Event_PUT && strings.HasPrefix(string(e.Kv.Key), w.prefix) {
			all = append(all, &mvccpb.Event{Type: e.Type, Kv: copyKV(e.Kv, false)})
		}
	}
	return all, rev
}

// deliverEvents sends the pending events, in fragments whose size the seed
// decides. It returns false where the watch ended.
func (w *watch) deliverEvents() bool {
	_, lag, _, _ := w.c.currentConditions()
	s := w.c.s
	var events []*mvccpb.Event
	var rev int64
	var end error
	call := fmt.Sprintf("%s/%s@%d", w.c.name, w.prefix, w.next)
	nth := w.c.countAttempt("deliver", call)
	s.withLock(func() {
		switch {
		case s.epoch != w.epoch:
			end = rpctypes.ErrStopped
		case w.next < s.data.compacted:
			s.stats.WatchesCompacted++
			end = rpctypes.ErrCompacted
		case int(s.cfg.generateNumber("cancel", call, nth)%1000) < s.cfg.CancelWatch:
			s.stats.WatchesCancelled++
			end = rpctypes.ErrNoLeader
		default:
			events, rev = w.pendingEvents(s.visibleRevision(lag))
		}
	})
	if end != nil {
		w.send(etcdlog.WatchResponse{Err: end})
		return false
	}
	for len(events) > 0 {
		n := 1 + int(s.cfg.generateNumber("fragment", call, len(events))%uint64(len(events)))
		if s.cfg.Spread > 0 {
			n = 1
			if !w.sleep(s.cfg.Instants.TakeIn(1+time.Duration(s.cfg.generateNumber("spread", call, len(events))%uint64(s.cfg.Spread)), fmt.Sprintf("%s#%d", call, len(events)))) {
				return false
			}
		}
		if !w.send(etcdlog.WatchResponse{Revision: rev, Events: events[:n:n]}) {
			return false
		}
		w.next = events[n-1].Kv.ModRevision + 1
		events = events[n:]
	}
	return true
}

// sendProgress sends the watch's revision while there are no events.
func (w *watch) sendProgress() bool {
	cut, lag, _, _ := w.c.currentConditions()
	if cut {
		return true
	}
	var rev int64
	ok := false
	w.c.s.withLock(func() {
		rev = w.c.s.visibleRevision(lag)
		events, _ := w.pendingEvents(rev)
		ok = len(events) == 0 && rev+1 >= w.next && w.c.s.epoch == w.epoch
	})
	return !ok || w.send(etcdlog.WatchResponse{Revision: rev})
}

func (w *watch) send(r etcdlog.WatchResponse) bool {
	select {
	case w.out <- r:
		return true
	case <-w.ctx.Done():
		return false
	case <-w.c.s.done:
		return false
	}
}

func (w *watch) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	case <-w.c.s.done:
		return false
	}
}
