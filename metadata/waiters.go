package metadata

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// broadcast wakes all who wait for the next change. It makes a channel only if
// somebody waits.
type broadcast struct {
	mu      sync.Mutex
	changed chan struct{}
}

// wait returns a channel that the next wakeAll closes. Call it before reading
// what the wake-up is about.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

func (b *broadcast) wakeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// Waiter waits for the outcome of one entry of this broker.
type Waiter struct {
	// C receives the outcome, once. CodeOutcomeUnknown where a checkpoint skipped
	// over the entry.
	C         <-chan Outcome
	c         chan Outcome
	appliedAt Revision // once applied
	key       EntryKey
	registry  *waiters
}

// Cancel removes the waiter. Every waiter is cancelled in the end.
func (w *Waiter) Cancel() {
	w.registry.mu.Lock()
	defer w.registry.mu.Unlock()
	delete(w.registry.byKey, w.key)
}

// waiters are the waiters by (session, lane, seq).
type waiters struct {
	mu      sync.Mutex
	byKey   map[EntryKey]*Waiter
	lastGap EntryKey // seen once
}

func (w *waiters) initWaiters() { w.byKey = map[EntryKey]*Waiter{} }

// Expect registers a waiter for an entry; do it before the entry is appended.
func (r *Replica) Expect(key EntryKey) *Waiter {
	c := make(chan Outcome, 1)
	w := &Waiter{C: c, c: c, key: key, registry: &r.waiters}
	r.waiters.mu.Lock()
	defer r.waiters.mu.Unlock()
	r.waiters.byKey[key] = w
	return w
}

// resolve passes an entry's outcome to its waiter. A second entry of the same key
// (refused as a repeat) does not overwrite the first.
func (w *waiters) resolve(key EntryKey, out Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if it := w.byKey[key]; it != nil && it.appliedAt == 0 {
		it.appliedAt = out.Revision
		it.c <- out // capacity 1, sent once
	}
}

// resolveSkipped ends the waiters of entries that a checkpoint skipped over, with
// an unknown outcome: passed reports whether a lane was applied up to a seq.
func (w *waiters) resolveSkipped(at Revision, passed func(EntryKey) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, it := range w.byKey {
		if it.appliedAt == 0 && passed(key) {
			it.appliedAt = -1
			it.c <- Outcome{Revision: at, Code: CodeOutcomeUnknown}
		}
	}
}

// repeatsGap reports whether the gap before key was found before, and records it.
func (w *waiters) repeatsGap(key EntryKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	again := w.lastGap == key
	w.lastGap = key
	return again
}

// WaitEntry implements Applied.
func (r *Replica) WaitEntry(ctx context.Context, rev Revision, key EntryKey) (Revision, error) {
	if err := r.WaitApplied(ctx, rev); err != nil {
		return 0, err
	}
	r.waiters.mu.Lock()
	it := r.waiters.byKey[key]
	at := Revision(-1) // no waiter was registered: its outcome was not recorded
	if it != nil {
		at = it.appliedAt
	}
	r.waiters.mu.Unlock()
	if at < 0 {
		return 0, fmt.Errorf("entry %s/%s/%d: %w", key.Session, key.Lane, key.Seq, ErrOutcomeUnknown)
	}
	return at, nil
}

// barriers lets the reads that arrive before one is sent share it.
type barriers struct {
	mu        sync.Mutex
	next      []chan barrierResult
	joined    uint64   // joined so far
	sent      uint64   // reads sent so far
	answered  uint64   // the newest read that succeeded, counted as sent
	revision  Revision // of it
	requested chan struct{}
}

type barrierResult struct {
	rev Revision
	err error
}

func (b *barriers) initQueue() { b.requested = make(chan struct{}, 1) }

func (b *barriers) joinNext(ctx context.Context) (rev Revision, number uint64, err error) {
	c := make(chan barrierResult, 1)
	b.mu.Lock()
	b.joined++
	number = b.joined
	b.next = append(b.next, c)
	b.mu.Unlock()
	select {
	case b.requested <- struct{}{}:
	default:
	}
	select {
	case a := <-c:
		return a.rev, number, a.err
	case <-ctx.Done():
		return 0, number, ctx.Err()
	}
}

// serveReads sends one read at a time; callers that arrive meanwhile share the
// next.
func (b *barriers) serveReads(ctx context.Context, log Log) {
	for {
		select {
		case <-b.requested:
		case <-ctx.Done():
			return
		}
		b.mu.Lock()
		joined := b.next
		b.next = nil
		if len(joined) > 0 {
			b.sent++
		}
		b.mu.Unlock()
		if len(joined) == 0 {
			continue
		}
		read, cancel := context.WithTimeout(ctx, BarrierTimeout)
		rev, err := log.Barrier(read)
		cancel()
		if err == nil {
			b.mu.Lock()
			b.answered, b.revision = b.sent, rev // one read at a time
			b.mu.Unlock()
		}
		for _, c := range joined {
			c <- barrierResult{rev, err}
		}
	}
}

// retainedInline keeps the inline bytes of entries whose extent has no accepted
// archive yet. The replica's lock guards it.
type retainedInline struct {
	byRevision map[Revision][]byte
	order      []Revision
	bytes      int64
}

func (p *retainedInline) initRetained() { p.byRevision = map[Revision][]byte{} }

func (p *retainedInline) add(c *CommittedEntry) {
	at, err := InlineStart(c.Bytes)
	if err != nil || p.byRevision[c.Revision] != nil {
		return
	}
	// A copy: the entry may be ten times as large, and is not counted.
	inline := bytes.Clone(c.Bytes[at : len(c.Bytes)-4])
	if len(inline) == 0 {
		return
	}
	p.byRevision[c.Revision] = inline
	p.order = append(p.order, c.Revision)
	p.bytes += int64(len(inline))
}

// dropUpTo drops the bytes of entries up to a revision.
func (p *retainedInline) dropUpTo(upTo Revision) {
	keep := p.order[:0]
	for _, rev := range p.order {
		if rev <= upTo {
			p.bytes -= int64(len(p.byRevision[rev]))
			delete(p.byRevision, rev)
		} else {
			keep = append(keep, rev)
		}
	}
	p.order = keep
}

// InlineBytes returns the inline bytes of an entry that is not archived yet;
// false where they are in an archive (State.Archive, ArchivedInline).
func (r *Replica) InlineBytes(rev Revision) ([]byte, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	b, ok := r.retained.byRevision[rev]
	return b, ok
}

// UnarchivedBytes returns how many inline bytes are kept in memory.
func (r *Replica) UnarchivedBytes() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.retained.bytes
}
