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
	slot *commitSlot

	openBuffer     *buffer
	sealed         []*buffer // in seal order, not in an entry yet
	producers      map[producerKey]*producerQueue
	gapQueues      []*producerQueue // with batches that wait for a missing sequence
	resubmitQueues []*producerQueue // whose refused batches may be submitted again

	objectNumber uint64 // of the last object
	uploads      int
	lastSeal     time.Time
	earlyPuts    earlyBudget
	orphans      []metadata.ObjectRef // uploads that the next entry names
	orphansAt    time.Time            // when the first of them came

	answered          []*pendingBatch // since the last reportAnswered
	refuseErr         error           // set when the lane accepts nothing more
	draining          bool
	stopped           bool            // the goroutine ends
	idleScratch       []time.Duration // scratch of checkIdleConnections
	blockedPartitions map[metadata.TopicPartition]struct{}
}

func newLane(w *WAL, id metadata.Lane, r *rand.Rand) *lane {
	l := &lane{w: w, id: id, box: newMailbox(), rand: r, producers: map[producerKey]*producerQueue{},
		earlyPuts: earlyBudget{rate: w.cfg.EarlyPuts}, blockedPartitions: map[metadata.TopicPartition]struct{}{}}
	l.slot = newCommitSlot(w, id, l.box)
	return l
}

// run is the lane's goroutine.
func (l *lane) run() {
	timer := time.NewTimer(noWait)
	defer timer.Stop()
	var items []*pendingBatch
	var calls []func()
	for {
		l.box.runLaneHook(&l.w.cfg, l.id)
		items, calls = l.box.takeAll(items, calls)
		// Batches first: a batch that had arrived when an upload failed
		// fails with that upload.
		for _, it := range items {
			l.receiveBatch(it)
		}
		for _, call := range calls {
			call()
		}
		now := time.Now()
		wait := l.recheckGaps(now)
		wait = min(wait, l.advance(now))
		l.reportAnswered()
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

// bufferBatch adds a batch to the open buffer, which it seals first if the
// batch does not fit.
func (l *lane) bufferBatch(it *pendingBatch) {
	now := time.Now()
	if l.openBuffer != nil && !l.openBuffer.hasRoom(it, l.w.cfg.MaxBufferBytes) {
		l.sealBuffer(ReasonFull, now)
	}
	if l.openBuffer == nil {
		// The phase keeps lanes and brokers from lingering in step.
		l.openBuffer = newBuffer(now, l.w.cfg.Linger+time.Duration(l.rand.Int64N(int64(time.Millisecond))))
	}
	l.openBuffer.addBatch(it)
	l.earlyPuts.addBatchCredit(len(it.Bytes), it.Activity.sendsFullBatches())
	if len(l.openBuffer.connections) <= fewConnections {
		l.openBuffer.nextBlockedCheck = time.Time{}
	}
	if s := (sealInput{bytes: l.openBuffer.bytes, headBytes: l.openBuffer.headBytes, maxBytes: l.w.cfg.MaxBufferBytes}); s.fullReason() != ReasonNone {
		l.sealBuffer(s.fullReason(), now)
	}
}

// sealBuffer seals the open buffer; it becomes an object.
func (l *lane) sealBuffer(why SealReason, now time.Time) {
	b := l.openBuffer
	l.openBuffer = nil
	b.buildRuns()
	l.objectNumber++
	b.name = metadata.ObjectName{Session: l.w.cfg.Session, Lane: l.id, Number: l.objectNumber}
	b.state = bufferWaiting
	l.lastSeal = now
	l.sealed = append(l.sealed, b)
	l.w.meters.sealed[why].Add(1)
}

// advance does all that can be done now and returns after how long to call it
// again if nothing happens.
func (l *lane) advance(now time.Time) time.Duration {
	l.resubmitRefused()
	wait := l.sealIfDue(now)
	for _, b := range l.sealed {
		if b.state == bufferWaiting && l.uploads < l.w.cfg.MaxUploads && l.refuseErr == nil {
			l.startUpload(b)
		}
	}
	if l.refuseErr == nil {
		wait = min(wait, l.tryCommit(now))
	}
	return wait
}

// sealIfDue seals the open buffer if it is due.
func (l *lane) sealIfDue(now time.Time) time.Duration {
	if l.openBuffer == nil || l.refuseErr != nil {
		return noWait
	}
	l.earlyPuts.addRateCredit(now)
	s := l.newSealInput(now)
	l.checkIdleConnections(&s)
	why, wait := decideSeal(s)
	if why == ReasonNone {
		return wait
	}
	if why == ReasonBlocked {
		l.earlyPuts.spend()
	}
	l.sealBuffer(why, now)
	return noWait
}

// newSealInput collects the input of the decision to seal the open buffer.
func (l *lane) newSealInput(now time.Time) sealInput {
	b := l.openBuffer
	s := sealInput{now: now, lane: l.id, bytes: b.bytes, headBytes: b.headBytes, lingerEnd: b.lingerEnd,
		maxBytes: l.w.cfg.MaxBufferBytes, inlineLimit: l.w.cfg.InlineLimit(), inlineDenied: b.inlineDenied,
		uploadFree: l.uploads < l.w.cfg.MaxUploads, lastSeal: l.lastSeal, draining: l.draining,
		blockedAfter: l.w.cfg.BlockedAfter, hasEarlyPut: l.earlyPuts.hasCredit()}
	if s.independent = len(l.sealed) == 0; !s.independent && b.bytes <= s.inlineLimit {
		l.collectBlockedPartitions()
		s.independent = !b.containsAny(l.blockedPartitions)
	}
	return s
}

// gatherWait is how long the open buffer, if it goes inline, waits for the rest
// of its clients' windows: a window that is cut in two costs two commits for
// each round trip of its client. Among many connections one is always short of
// its window, and the commit is shared anyway.
func (l *lane) gatherWait(now time.Time) (wait time.Duration) {
	b := l.openBuffer
	if l.draining || len(b.connections) > fewConnections {
		return 0
	}
	for _, f := range b.connections {
		wait = max(wait, f.refillWait(l.id, now))
	}
	since := b.openedAt
	if l.slot.freedAt.After(since) {
		since = l.slot.freedAt
	}
	return min(wait, max(0, maxGatherTime-now.Sub(since)))
}

// spacingWait is how long the open buffer, if it goes inline, waits for batches
// of clients that send independently: a commit costs six processes a wake-up or
// more, whatever is in it. Clients that wait for an answer before they send
// more are not delayed, nor is the low lane.
func (l *lane) spacingWait(now time.Time) time.Duration {
	b := l.openBuffer
	if l.draining || l.id != metadata.LaneStandard || len(b.connections) == 0 {
		return 0
	}
	wait := l.slot.commitSpacing() - now.Sub(l.slot.sentAt)
	if wait <= 0 || len(b.connections) > fewConnections {
		return max(wait, 0)
	}
	for _, f := range b.connections {
		if full, _ := f.isWindowFull(l.id); !full {
			return wait
		}
	}
	return 0
}

// inlineWait is how long the open buffer, if it goes inline, waits although a
// commit could be sent.
func (l *lane) inlineWait(now time.Time) time.Duration {
	return max(l.gatherWait(now), l.spacingWait(now))
}

// fewConnections is up to how many connections of a buffer are examined
// whenever one of its batches comes.
const fewConnections = 32

// checkIdleConnections determines how long the open buffer's connections have
// sent nothing. Bytes that arrive only delay the moment at which they look
// blocked, so the connections are not examined before the moment that was found
// last; but a batch may fill a window.
func (l *lane) checkIdleConnections(s *sealInput) {
	b := l.openBuffer
	if l.id != metadata.LaneStandard || len(b.connections) == 0 {
		return
	}
	if s.unblockedFor = b.nextBlockedCheck.Sub(s.now); s.unblockedFor > 0 {
		return
	}
	l.idleScratch = l.idleScratch[:0]
	for _, f := range b.connections {
		idle := f.idleTime(s.now)
		switch full, whole := f.isWindowFull(l.id); {
		case full && (whole || b.bytes >= bytesPerEarlyPut):
			idle = max(idle, s.blockedAfter)
		case full: // the rest of its window comes back: in two pieces it would go on costing two PUTs
			idle = 0
		}
		l.idleScratch = append(l.idleScratch, idle)
	}
	s.idleTimes = l.idleScratch
	if wait := s.blockedIn(); wait > 0 {
		b.nextBlockedCheck = s.now.Add(wait)
	} else if !s.hasEarlyPut {
		b.nextBlockedCheck = s.now.Add(earlyPutRetry)
	}
}

// collectBlockedPartitions collects the partitions of sealed buffers that
// cannot commit yet: not durable, or behind one that is not.
func (l *lane) collectBlockedPartitions() {
	clear(l.blockedPartitions)
	for _, b := range l.sealed {
		if b.state != bufferReady || b.containsAny(l.blockedPartitions) {
			b.addPartitionsTo(l.blockedPartitions)
		}
	}
}

// answerBatch gives a batch its result, and the retries attached to it the
// same.
func (l *lane) answerBatch(it *pendingBatch, at metadata.Offset, err error) {
	if it.answered {
		return
	}
	it.answered = true
	it.ack.offset, it.ack.err = at, err
	it.Outcome.recordAnswer(err)
	if it.Activity != nil && !it.More {
		it.Activity.noteAnswered(time.Now())
	}
	close(it.ack.done)
	l.answered = append(l.answered, it)
	l.removeFromQueue(it)
	for _, o := range it.retries {
		l.answerBatch(o, at, err)
	}
}

// reportAnswered releases what the lane has answered.
func (l *lane) reportAnswered() {
	if len(l.answered) == 0 {
		return
	}
	if hook := l.w.cfg.OnAck; hook != nil {
		now := time.Now()
		for _, it := range l.answered {
			hook(l.id, now.Sub(it.arrived))
		}
	}
	l.w.releaseAnswered(l.answered)
	clear(l.answered)
	l.answered = l.answered[:0]
}

// failPartitions fails all that is pending of the partitions behind a failed
// object: nothing of a partition may commit ahead of a batch that failed before
// it.
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
	if l.openBuffer != nil {
		l.openBuffer = l.openBuffer.removePartitions(set, func(p *part) { l.failPart(p, err) })
	}
	for _, p := range parts {
		if _, ok := set[p.tp]; ok {
			for _, it := range l.w.takeParked(p.tp) {
				l.answerBatch(it, 0, err)
			}
		}
	}
}

// failPart fails a part's batches, and what is pending of their producers.
func (l *lane) failPart(p *part, err error) {
	p.failed = true
	for _, g := range p.groups {
		for _, it := range g.items {
			t := it.queue
			l.answerBatch(it, 0, err)
			if t != nil {
				l.failQueue(t, err)
			}
		}
	}
}

// abandon ends the lane's work when the session is lost, or at the end: what is
// not in an entry under way fails, and nothing more is accepted.
func (l *lane) abandon(err error) {
	if l.refuseErr != nil {
		return
	}
	l.refuseErr = err
	for _, b := range l.sealed {
		if b.state == bufferReady {
			l.countUnbookedPuts(b.ref)
		}
		for _, p := range b.parts {
			l.failPart(p, err)
		}
	}
	l.sealed = nil
	if l.openBuffer != nil {
		for _, p := range l.openBuffer.parts {
			l.failPart(p, err)
		}
		l.openBuffer = nil
	}
	for _, t := range l.gapQueues {
		for _, it := range t.awaitingGap {
			l.answerBatch(it, 0, err)
		}
		t.awaitingGap = nil
	}
	l.gapQueues = nil
	l.w.adjustPending(0, -len(l.orphans))
	l.countUnbookedPuts(l.orphans...)
	l.orphans = nil
}

// sealForDrain seals the open buffer if it has the partition.
func (l *lane) sealForDrain(tp metadata.TopicPartition) {
	if l.openBuffer == nil || l.openBuffer.partIndex[tp] == nil || l.refuseErr != nil {
		return
	}
	if s := l.newSealInput(time.Now()); !s.canGoInline() {
		l.sealBuffer(ReasonDrain, s.now)
	}
}
