package wal

import (
	"math/rand/v2"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// lane gathers the batches of its partitions, makes them durable and commits
// them. One goroutine, run, owns everything in it but the mailbox.
type lane struct {
	w    *WAL
	id   metadata.Lane
	box  *mailbox
	rand *rand.Rand
	slot *slot

	open   *buffer
	sealed []*buffer // in seal order, not in an entry yet
	tails  map[tailKey]*tail
	gaps   []*tail // with batches that wait for a missing sequence
	retry  []*tail // whose refused batches may be submitted again

	number    uint64 // of the last object
	uploads   int
	lastSeal  time.Time
	early     earlyBudget
	orphans   []metadata.ObjectRef // for the next entry
	orphansAt time.Time            // the first of them came

	answered []*item // since the last settle
	refuse   error   // set when the lane takes nothing more
	draining bool
	stopped  bool            // the goroutine ends
	idle     []time.Duration // scratch of situation
	blocked  map[metadata.TopicPartition]struct{}
}

func newLane(w *WAL, id metadata.Lane, r *rand.Rand) *lane {
	l := &lane{w: w, id: id, box: newMailbox(), rand: r, tails: map[tailKey]*tail{},
		early: earlyBudget{rate: w.cfg.EarlyPuts}, blocked: map[metadata.TopicPartition]struct{}{}}
	l.slot = newSlot(w, id, l.box)
	return l
}

// run is the lane's goroutine.
func (l *lane) run() {
	timer := time.NewTimer(noWait)
	defer timer.Stop()
	var items []*item
	var calls []func()
	for {
		l.box.gather(l.w.cfg.Pace, l.id)
		items, calls = l.box.take(items, calls)
		// Batches first: what had arrived when an upload failed belongs to
		// what that failure takes along.
		for _, it := range items {
			l.intake(it)
		}
		for _, call := range calls {
			call()
		}
		now := time.Now()
		wait := l.pumpGaps(now)
		wait = min(wait, l.advance(now))
		l.settle()
		if l.stopped {
			return
		}
		var tick <-chan time.Time // a lane with nothing to do has no timer
		if wait < noWait {
			timer.Reset(wait)
			tick = timer.C
		} else {
			timer.Stop()
		}
		select {
		case <-l.box.wake:
		case <-tick:
		}
	}
}

// buffer puts an item into the open buffer, sealing what is in its way.
func (l *lane) buffer(it *item) {
	now := time.Now()
	if l.open != nil && !l.open.room(it, l.w.cfg.MaxBufferBytes) {
		l.seal(ReasonFull, now)
	}
	if l.open == nil {
		// The phase keeps lanes and brokers from lingering in step.
		l.open = newBuffer(now, l.w.cfg.Linger+time.Duration(l.rand.Int64N(int64(time.Millisecond))))
	}
	l.open.add(it)
	l.early.earn(len(it.Bytes), it.Activity.sendsFullBatches())
	if len(l.open.connections) <= fewConnections {
		l.open.blockedAt = time.Time{}
	}
	if s := (situation{bytes: l.open.bytes, head: l.open.head, maxBytes: l.w.cfg.MaxBufferBytes}); s.full() != ReasonNone {
		l.seal(s.full(), now)
	}
}

// seal closes the open buffer; it becomes an object.
func (l *lane) seal(why SealReason, now time.Time) {
	b := l.open
	l.open = nil
	b.seal()
	l.number++
	b.name = metadata.ObjectName{Session: l.w.cfg.Session, Lane: l.id, Number: l.number}
	b.state = bufferWaiting
	l.lastSeal = now
	l.sealed = append(l.sealed, b)
	l.w.meters.sealed[why].Add(1)
}

// advance does all that can be done now and returns after how long to look
// again if nothing happens.
func (l *lane) advance(now time.Time) time.Duration {
	l.resubmit()
	wait := l.sealOpen(now)
	for _, b := range l.sealed {
		if b.state == bufferWaiting && l.uploads < l.w.cfg.MaxUploads && l.refuse == nil {
			l.upload(b)
		}
	}
	if l.refuse == nil {
		wait = min(wait, l.commit(now))
	}
	return wait
}

// sealOpen decides about the open buffer.
func (l *lane) sealOpen(now time.Time) time.Duration {
	if l.open == nil || l.refuse != nil {
		return noWait
	}
	l.early.refill(now)
	s := l.situation(now)
	l.lookAtFeeds(&s)
	why, wait := decide(s)
	if why == ReasonNone {
		return wait
	}
	if why == ReasonBlocked {
		l.early.take()
	}
	l.seal(why, now)
	return noWait
}

// situation is how the open buffer stands.
func (l *lane) situation(now time.Time) situation {
	b := l.open
	s := situation{now: now, lane: l.id, bytes: b.bytes, head: b.head, due: b.due,
		maxBytes: l.w.cfg.MaxBufferBytes, inlineLimit: l.w.cfg.InlineLimit(), denied: b.denied,
		uploadFree: l.uploads < l.w.cfg.MaxUploads, lastSeal: l.lastSeal, draining: l.draining,
		blockedAfter: l.w.cfg.BlockedAfter, earlyPut: l.early.has()}
	if s.apart = len(l.sealed) == 0; !s.apart && b.bytes <= s.inlineLimit {
		l.findBlocked()
		s.apart = !b.touches(l.blocked)
	}
	return s
}

// gathering is how long the open buffer, which is to go inline, waits for the
// rest of its clients' windows: a window that is cut in two costs two commits
// for each round trip of its client. Among many connections one is always
// short of its window, and there is company enough.
func (l *lane) gathering(now time.Time) (wait time.Duration) {
	b := l.open
	if l.draining || len(b.connections) > fewConnections {
		return 0
	}
	for _, f := range b.connections {
		wait = max(wait, f.refills(l.id, now))
	}
	since := b.opened
	if l.slot.freed.After(since) {
		since = l.slot.freed
	}
	return min(wait, max(0, gatherTime-now.Sub(since)))
}

// pacing is how long the open buffer, which is to go inline, waits for company
// from clients that send at times of their own: a commit costs six processes a
// wake-up or more, whatever is in it. Who waits for an answer before it sends
// more is not kept waiting, nor is what wants low latency.
func (l *lane) pacing(now time.Time) time.Duration {
	b := l.open
	if l.draining || l.id != metadata.LaneStandard || len(b.connections) == 0 {
		return 0
	}
	wait := l.slot.pace() - now.Sub(l.slot.sent)
	if wait <= 0 || len(b.connections) > fewConnections {
		return max(wait, 0)
	}
	for _, f := range b.connections {
		if full, _ := f.full(l.id); !full {
			return wait
		}
	}
	return 0
}

// patience is how long the open buffer, which is to go inline, waits although a
// commit could be sent.
func (l *lane) patience(now time.Time) time.Duration {
	return max(l.gathering(now), l.pacing(now))
}

// fewConnections is up to how many connections of a buffer are looked at whenever one
// of its batches comes.
const fewConnections = 32

// lookAtFeeds tells how long the open buffer's connections have sent nothing.
// Bytes that arrive only put off the moment at which they look blocked, so
// nobody looks before the one that was found last; but a batch may make a
// window full.
func (l *lane) lookAtFeeds(s *situation) {
	b := l.open
	if l.id != metadata.LaneStandard || len(b.connections) == 0 {
		return
	}
	if s.unblocked = b.blockedAt.Sub(s.now); s.unblocked > 0 {
		return
	}
	l.idle = l.idle[:0]
	for _, f := range b.connections {
		idle := f.idle(s.now)
		switch full, whole := f.full(l.id); {
		case full && (whole || b.bytes >= earlyBytes):
			idle = max(idle, s.blockedAfter)
		case full: // the rest of its window comes back: in two pieces it would go on costing two PUTs
			idle = 0
		}
		l.idle = append(l.idle, idle)
	}
	s.idle = l.idle
	if wait := s.blockedIn(); wait > 0 {
		b.blockedAt = s.now.Add(wait)
	} else if !s.earlyPut {
		b.blockedAt = s.now.Add(earlyRetry)
	}
}

// findBlocked collects the partitions of sealed buffers that cannot commit
// yet: not durable, or behind one that is not.
func (l *lane) findBlocked() {
	clear(l.blocked)
	for _, b := range l.sealed {
		if b.state != bufferReady || b.touches(l.blocked) {
			b.mark(l.blocked)
		}
	}
}

// answer gives an item its result, and with it the retries attached to it.
func (l *lane) answer(it *item, at metadata.Offset, err error) {
	if it.answered {
		return
	}
	it.answered = true
	it.ack.offset, it.ack.err = at, err
	it.Outcome.answered(err)
	if it.Activity != nil && !it.More {
		it.Activity.answer(time.Now())
	}
	close(it.ack.done)
	l.answered = append(l.answered, it)
	l.settleTail(it)
	for _, o := range it.attached {
		l.answer(o, at, err)
	}
}

// settle tells the rest of the WAL what the lane has answered.
func (l *lane) settle() {
	if len(l.answered) == 0 {
		return
	}
	if hook := l.w.cfg.OnAck; hook != nil {
		now := time.Now()
		for _, it := range l.answered {
			hook(l.id, now.Sub(it.arrived))
		}
	}
	l.w.settled(l.answered)
	clear(l.answered)
	l.answered = l.answered[:0]
}

// failPartitions fails all that is pending of the partitions behind a failed
// object: nothing of a partition may pass what was lost before it.
func (l *lane) failPartitions(parts []*part, err error) {
	set := make(map[metadata.TopicPartition]struct{}, len(parts))
	for _, p := range parts {
		if !p.failed {
			set[p.tp] = struct{}{}
			l.failPart(p, err)
		}
	}
	for _, b := range l.sealed {
		for _, p := range b.parts {
			if _, ok := set[p.tp]; ok && !p.failed {
				l.failPart(p, err)
			}
		}
	}
	if l.open != nil {
		l.open = l.open.without(set, func(p *part) { l.failPart(p, err) })
	}
	for _, p := range parts {
		if _, ok := set[p.tp]; ok {
			for _, it := range l.w.unpark(p.tp) {
				l.answer(it, 0, err)
			}
		}
	}
}

// failPart fails a part's items, and with them what is pending of their
// producers.
func (l *lane) failPart(p *part, err error) {
	p.failed = true
	for _, g := range p.groups {
		for _, it := range g.items {
			t := it.tail
			l.answer(it, 0, err)
			if t != nil {
				l.failTail(t, err)
			}
		}
	}
}

// abandon ends the lane's work when the session is lost, or at the end: what
// is not in an entry under way is failed, and nothing more is taken.
func (l *lane) abandon(err error) {
	if l.refuse != nil {
		return
	}
	l.refuse = err
	for _, b := range l.sealed {
		for _, p := range b.parts {
			l.failPart(p, err)
		}
	}
	l.sealed = nil
	if l.open != nil {
		for _, p := range l.open.parts {
			l.failPart(p, err)
		}
		l.open = nil
	}
	for _, t := range l.gaps {
		for _, it := range t.waiting {
			l.answer(it, 0, err)
		}
		t.waiting = nil
	}
	l.gaps = nil
	l.w.count(0, -len(l.orphans))
	l.orphans = nil
}

// hasten seals the open buffer if it has the partition.
func (l *lane) hasten(tp metadata.TopicPartition) {
	if l.open == nil || l.open.index[tp] == nil || l.refuse != nil {
		return
	}
	if s := l.situation(time.Now()); !s.inlineable() {
		l.seal(ReasonDrain, s.now)
	}
}
