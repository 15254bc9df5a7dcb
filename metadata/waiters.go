package metadata

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// broadcast wakes everybody who waits for the next turn. It makes a channel
// only where somebody waits.
type broadcast struct {
	mu   sync.Mutex
	turn chan struct{}
}

func (b *broadcast) init() {}

// wait returns a channel that the next wake closes. Take it before looking at
// what it tells about.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turn == nil {
		b.turn = make(chan struct{})
	}
	return b.turn
}

func (b *broadcast) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turn != nil {
		close(b.turn)
		b.turn = nil
	}
}

// Waiter waits for the outcome of one entry of this broker.
type Waiter struct {
	// C receives the outcome, once. CodeNotKnown where a checkpoint jumped
	// over the entry.
	C    <-chan Outcome
	c    chan Outcome
	at   Revision // once applied
	key  EntryKey
	home *waiters
}

// Cancel forgets the waiter. Every waiter is cancelled in the end.
func (w *Waiter) Cancel() {
	w.home.mu.Lock()
	defer w.home.mu.Unlock()
	delete(w.home.byKey, w.key)
}

// waiters finds who waits by (session, lane, seq).
type waiters struct {
	mu    sync.Mutex
	byKey map[EntryKey]*Waiter
	hole  EntryKey // seen once
}

func (w *waiters) init() { w.byKey = map[EntryKey]*Waiter{} }

// Expect registers a waiter for an entry; do it before the entry is appended.
func (r *Replica) Expect(key EntryKey) *Waiter {
	c := make(chan Outcome, 1)
	w := &Waiter{C: c, c: c, key: key, home: &r.waiters}
	r.waiters.mu.Lock()
	defer r.waiters.mu.Unlock()
	r.waiters.byKey[key] = w
	return w
}

// resolve gives an entry's outcome to its waiter. A second entry of the same
// key (refused as a repeat) does not overwrite the first.
func (w *waiters) resolve(key EntryKey, out Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if it := w.byKey[key]; it != nil && it.at == 0 {
		it.at = out.Revision
		it.c <- out // capacity 1, sent once
	}
}

// jumped tells those that a checkpoint passed over that their outcome cannot
// be known: passed says up to which seq a lane was applied.
func (w *waiters) jumped(at Revision, passed func(EntryKey) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, it := range w.byKey {
		if it.at == 0 && passed(key) {
			it.at = -1
			it.c <- Outcome{Revision: at, Code: CodeNotKnown}
		}
	}
}

// holeAgain reports whether the hole before key was met before, and notes it.
func (w *waiters) holeAgain(key EntryKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	again := w.hole == key
	w.hole = key
	return again
}

// WaitEntry implements Applied.
func (r *Replica) WaitEntry(ctx context.Context, rev Revision, key EntryKey) (Revision, error) {
	if err := r.WaitApplied(ctx, rev); err != nil {
		return 0, err
	}
	r.waiters.mu.Lock()
	it := r.waiters.byKey[key]
	at := Revision(-1) // nobody registered: its fate was not noted
	if it != nil {
		at = it.at
	}
	r.waiters.mu.Unlock()
	if at < 0 {
		return 0, fmt.Errorf("entry %s/%s/%d: %w", key.Session, key.Lane, key.Seq, ErrNotKnown)
	}
	return at, nil
}

// barriers lets reads that arrived before one is sent share it.
type barriers struct {
	mu   sync.Mutex
	next []chan barrierAnswer
	n    uint64 // joined so far
	kick chan struct{}
}

type barrierAnswer struct {
	rev Revision
	err error
}

func (b *barriers) init() { b.kick = make(chan struct{}, 1) }

func (b *barriers) join(ctx context.Context) (rev Revision, number uint64, err error) {
	c := make(chan barrierAnswer, 1)
	b.mu.Lock()
	b.n++
	number = b.n
	b.next = append(b.next, c)
	b.mu.Unlock()
	select {
	case b.kick <- struct{}{}:
	default:
	}
	select {
	case a := <-c:
		return a.rev, number, a.err
	case <-ctx.Done():
		return 0, number, ctx.Err()
	}
}

// serve sends one read at a time; whoever arrives meanwhile shares the next.
func (b *barriers) serve(ctx context.Context, log Log) {
	for {
		select {
		case <-b.kick:
		case <-ctx.Done():
			return
		}
		b.mu.Lock()
		joined := b.next
		b.next = nil
		b.mu.Unlock()
		if len(joined) == 0 {
			continue
		}
		read, cancel := context.WithTimeout(ctx, BarrierTimeout)
		rev, err := log.Barrier(read)
		cancel()
		for _, c := range joined {
			c <- barrierAnswer{rev, err}
		}
	}
}

// retainedInline keeps the inline bytes of entries whose generation lies in no archive
// that apply has accepted. The replica's lock guards it.
type retainedInline struct {
	byRevision map[Revision][]byte
	order      []Revision
	bytes      int64
}

func (p *retainedInline) init() { p.byRevision = map[Revision][]byte{} }

func (p *retainedInline) add(c *Committed) {
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

// drop forgets the bytes of entries up to a revision.
func (p *retainedInline) drop(upTo Revision) {
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

// Unarchived returns how many inline bytes are pinned in memory.
func (r *Replica) Unarchived() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.retained.bytes
}
