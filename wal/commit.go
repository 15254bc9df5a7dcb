package wal

import (
	"errors"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

const (
	// maxOrphans bounds the orphaned uploads in one entry.
	maxOrphans = 256
	// orphanDelay is how long orphaned uploads wait for an entry that is
	// sent anyway.
	orphanDelay = 5 * time.Second
)

// tryCommit requests the lane's slot when something is ready, and sends an
// entry when it has it. It returns after how long to call it again.
func (l *lane) tryCommit(now time.Time) time.Duration {
	want, wait := l.wantsCommit(now)
	if !want {
		return wait
	}
	if l.slot.tryAcquire() {
		if e := l.assembleEntry(now); e != nil {
			l.slot.sendEntry(e)
		}
	}
	return wait
}

// wantsCommit reports whether an entry would have anything in it.
func (l *lane) wantsCommit(now time.Time) (bool, time.Duration) {
	if l.slot.busy() {
		return false, noWait // its end wakes the lane
	}
	clear(l.blockedPartitions)
	for _, b := range l.sealed {
		if b.state == bufferReady && !b.containsAny(l.blockedPartitions) {
			return true, noWait
		}
		b.addPartitionsTo(l.blockedPartitions)
	}
	wait := noWait
	if l.openBuffer != nil {
		if s := l.newSealInput(now); s.canGoInline() {
			if wait = l.inlineWait(now); wait == 0 {
				return true, noWait
			}
		}
	}
	if len(l.orphans) == 0 {
		return false, wait
	}
	left := orphanDelay - now.Sub(l.orphansAt)
	return left <= 0 || l.draining, min(wait, max(left, time.Millisecond))
}

// assembleEntry builds the next entry from all that may commit now: the sealed
// buffers that are durable and not behind one that is not, and the open one if
// it goes inline. The bytes do not change after the entry is sent.
func (l *lane) assembleEntry(now time.Time) *pendingCommit {
	a := newEntryBuilder(l)
	clear(l.blockedPartitions)
	keep := l.sealed[:0]
	full := false
	for _, b := range l.sealed {
		if full || b.state != bufferReady || b.containsAny(l.blockedPartitions) || !a.fitsBuffer(b) {
			full = full || b.state == bufferReady && !b.containsAny(l.blockedPartitions)
			b.addPartitionsTo(l.blockedPartitions)
			keep = append(keep, b)
			continue
		}
		a.addObject(b)
	}
	clear(l.sealed[len(keep):])
	l.sealed = keep
	if b := l.openBuffer; b != nil && !full && a.fitsBuffer(b) {
		if s := l.newSealInput(now); s.canGoInline() && l.inlineWait(now) == 0 {
			if l.w.cfg.Governor.InlineAllowed(b.bytes) {
				l.openBuffer = nil
				b.buildRuns()
				a.addInline(b)
				l.w.meters.sealed[ReasonInline].Add(1)
			} else {
				b.inlineDenied = true // it becomes an object
				l.box.wakeOwner()
			}
		}
	}
	n := min(len(l.orphans), maxOrphans)
	a.entry.Orphans = l.orphans[:n:n]
	l.orphans = l.orphans[n:]
	if len(a.entry.Parts) == 0 && n == 0 {
		return nil
	}
	return a.makeCommit()
}

// entryBuilder builds an entry.
type entryBuilder struct {
	lane       *lane
	entry      metadata.Entry
	headBytes  int
	topics     map[metadata.TopicID]int
	principals map[string]int
	parts      []*part // as in entry.Parts
	runs       int
}

func newEntryBuilder(l *lane) *entryBuilder {
	return &entryBuilder{lane: l, entry: metadata.Entry{Level: l.w.level(), Session: l.w.cfg.Session, Lane: l.id,
		Time: l.w.cfg.Clock.Now(), Route: l.w.cfg.Route()},
		topics: map[metadata.TopicID]int{}, principals: map[string]int{}}
}

// fitsBuffer reports whether the buffer's parts and runs fit into the entry.
func (a *entryBuilder) fitsBuffer(b *buffer) bool {
	return len(a.parts) == 0 || a.headBytes+b.headBytes <= headMaxBytes && len(a.entry.Objects) < metadata.MaxEntryObjects
}

func (a *entryBuilder) addObject(b *buffer) {
	a.entry.Objects = append(a.entry.Objects, b.ref)
	a.headBytes += b.headBytes + objectBytes
	for _, p := range b.parts {
		if !p.failed {
			a.addPart(p, len(a.entry.Objects)-1)
		}
	}
	a.lane.w.meters.objects.Add(1)
	a.lane.w.meters.objectBytes.Add(uint64(b.ref.Size))
}

func (a *entryBuilder) addInline(b *buffer) {
	a.headBytes += b.headBytes
	a.entry.Inline = make([]byte, 0, b.bytes)
	for _, p := range b.parts {
		p.location.Position = int64(len(a.entry.Inline))
		for r := range p.runs {
			for _, it := range p.runs[r].items {
				a.entry.Inline = append(a.entry.Inline, it.Bytes...)
			}
		}
		p.location.Length = int64(len(a.entry.Inline)) - p.location.Position
		a.addPart(p, metadata.InlineObject)
	}
	a.lane.w.meters.inlineEntries.Add(1)
	a.lane.w.meters.inlineBytes.Add(uint64(b.bytes))
}

// addPart adds a part to the entry.
func (a *entryBuilder) addPart(p *part, object int) {
	topic, ok := a.topics[p.tp.Topic]
	if !ok {
		topic = len(a.entry.Topics)
		a.topics[p.tp.Topic] = topic
		a.entry.Topics = append(a.entry.Topics, p.tp.Topic)
	}
	runs := make([]metadata.Run, len(p.runs))
	for i := range p.runs {
		r := &p.runs[i]
		name := r.items[0].Principal
		principal, ok := a.principals[name]
		if !ok {
			principal = len(a.entry.Principals)
			a.principals[name] = principal
			a.entry.Principals = append(a.entry.Principals, name)
		}
		runs[i] = r.Run
		runs[i].Principal = principal
		for _, it := range r.items {
			it.inEntry = true
		}
	}
	a.entry.Parts = append(a.entry.Parts, metadata.Part{Topic: topic, Partition: p.tp.Partition, Object: object,
		Position: p.location.Position, Length: p.location.Length, Runs: runs})
	a.parts = append(a.parts, p)
	a.runs += len(runs)
}

func (a *entryBuilder) makeCommit() *pendingCommit {
	l, parts, orphans := a.lane, a.parts, len(a.entry.Orphans)
	puts := sumPuts(a.entry.Objects) + sumPuts(a.entry.Orphans)
	return &pendingCommit{entry: &a.entry, sizeHint: a.headBytes / 2, cost: Cost{Runs: a.runs},
		onDone: func(out metadata.Outcome, err error) {
			l.w.adjustPending(0, -orphans)
			if !isBooked(out, err) {
				l.w.meters.unbookedPuts.Add(puts)
			}
			l.answerCommitted(parts, out, err)
		}}
}

// isBooked reports whether apply has booked an entry's cost, or may have: it
// books accepted entries. What an unknown outcome may have booked is not
// counted twice.
func isBooked(out metadata.Outcome, err error) bool {
	return err == nil && out.Code == metadata.CodeOK || errors.Is(err, ErrOutcomeUnknown)
}

// answerCommitted answers the batches of an entry from its applied outcome and
// from nothing else. The offset of a batch is its run's plus the records of the
// batches before it in the run.
func (l *lane) answerCommitted(parts []*part, out metadata.Outcome, err error) {
	if err == nil && out.Code != metadata.CodeOK {
		err = out.Code
	}
	for i, p := range parts {
		for r := range p.runs {
			items := p.runs[r].items
			switch {
			case err != nil:
				l.answerAll(items, err)
			case i >= len(out.Parts) || r >= len(out.Parts[i]):
				l.answerAll(items, ErrOutcomeUnknown) // BUG of apply: no batch is acknowledged
			default:
				l.answerRun(items, out.Parts[i][r])
			}
		}
	}
}

func (l *lane) answerRun(items []*pendingBatch, out metadata.RunOutcome) {
	switch {
	case out.Code == metadata.CodeOK || out.Code == metadata.CodeDuplicate:
		at := out.Offset
		for _, it := range items {
			l.answerBatch(it, at, nil)
			at += metadata.Offset(it.Header.Offsets())
		}
	case out.Code == metadata.CodeOutOfOrder && items[0].queue != nil:
		l.handleRefusedRun(items)
	default:
		l.answerAll(items, out.Code)
	}
}

func (l *lane) answerAll(items []*pendingBatch, err error) {
	for _, it := range items {
		l.answerBatch(it, 0, err)
	}
}
