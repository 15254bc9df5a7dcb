package metadata

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MemLog is the in-memory Log and Keeper: the doors' contract in its simplest
// form, for tests of the packages above. It keeps to the rules that matter
// (one order, guards, lanes, generations) and has no faults of its own.
type MemLog struct {
	mu         sync.Mutex
	rev        Revision
	head       Revision
	generation Generation
	truncated  Generation
	checkpoint *CheckpointPointer
	entries    []Committed // of generations not truncated
	byKey      map[EntryKey]int
	empty      map[EntryKey]bool
	sessions   map[SessionID]*memSession
	duties     map[string]Duty
	changed    chan struct{} // closed and replaced by every change
	// Latency, where set, is how long an append takes to come back.
	Latency time.Duration
}

var (
	_ Log    = (*MemLog)(nil)
	_ Keeper = (*MemLog)(nil)
)

type memSession struct {
	log  *MemLog
	live LiveSession
	done chan struct{}
}

// NewMemLog returns an empty log in its first generation.
func NewMemLog() *MemLog {
	return &MemLog{generation: 1, byKey: map[EntryKey]int{}, empty: map[EntryKey]bool{},
		sessions: map[SessionID]*memSession{}, duties: map[string]Duty{}, changed: make(chan struct{})}
}

func (l *MemLog) touch() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Append implements Log.
func (l *MemLog) Append(ctx context.Context, r AppendRequest) (AppendResult, error) {
	if l.Latency > 0 {
		select {
		case <-time.After(l.Latency):
		case <-ctx.Done():
			return AppendResult{}, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions[r.Key.Session] == nil {
		return AppendResult{}, ErrSessionLost
	}
	if i, there := l.byKey[r.Key]; there {
		return AppendResult{l.entries[i].Revision, l.entries[i].Generation, l.empty[r.Key]}, nil
	}
	bytes := slices.Clone(r.Bytes)
	failed := r.Guard != nil && !l.holds(r.Guard)
	if failed {
		bytes = nil
	}
	l.rev++
	l.head = l.rev
	l.byKey[r.Key] = len(l.entries)
	l.empty[r.Key] = failed
	l.entries = append(l.entries, Committed{l.rev, l.generation, r.Key.Session, r.Key.Lane, r.Key.Seq, bytes})
	l.touch()
	return AppendResult{l.rev, l.generation, failed}, nil
}

func (l *MemLog) holds(g *Guard) bool {
	if g.Duty != "" && l.duties[g.Duty].Epoch != g.DutyEpoch {
		return false
	}
	if g.SessionGone != 0 && l.sessions[g.SessionGone] != nil {
		return false
	}
	if g.LiveSessions != nil {
		ids := sortedKeys(l.sessions)
		return slices.Equal(ids, g.LiveSessions)
	}
	return true
}

// Start implements Log.
func (l *MemLog) Start(context.Context) (StartPoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return StartPoint{Incarnation: 1, Revision: l.rev, Head: l.head, Generation: l.generation,
		Truncated: l.truncated, Checkpoint: l.checkpoint, Level: MinFeatureLevel}, nil
}

// Follow implements Log.
func (l *MemLog) Follow(ctx context.Context, from StartPoint, deliver func([]Committed, Revision, bool) error) error {
	after := Revision(0)
	for {
		l.mu.Lock()
		if l.truncated > from.Truncated && after < from.Revision {
			l.mu.Unlock()
			return ErrCompacted
		}
		var batch []Committed
		for _, c := range l.entries {
			if c.Revision > after && c.Generation > from.Truncated {
				batch = append(batch, c)
			}
		}
		upTo, changed := l.rev, l.changed
		l.mu.Unlock()
		if err := deliver(batch, upTo, true); err != nil {
			return err
		}
		after = upTo
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Barrier implements Log.
func (l *MemLog) Barrier(context.Context) (Revision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head, nil
}

// OpenSession implements Log.
func (l *MemLog) OpenSession(_ context.Context, info SessionInfo) (Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rev++
	s := &memSession{log: l, live: LiveSession{ID: SessionID(l.rev), Info: info}, done: make(chan struct{})}
	l.sessions[s.live.ID] = s
	l.touch()
	return s, nil
}

// Expire ends a session as a lapsed lease would.
func (l *MemLog) Expire(id SessionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sessions[id]
	if s == nil {
		return
	}
	l.rev++
	delete(l.sessions, id)
	for name, d := range l.duties {
		if d.Session == id {
			delete(l.duties, name)
		}
	}
	close(s.done)
	l.touch()
}

func (s *memSession) ID() SessionID         { return s.live.ID }
func (s *memSession) Done() <-chan struct{} { return s.done }
func (s *memSession) Close(context.Context) error {
	s.log.Expire(s.live.ID)
	return nil
}

func (s *memSession) Publish(_ context.Context, st SessionStatus) error {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if s.log.sessions[s.live.ID] == nil {
		return ErrSessionLost
	}
	s.live.Status = st
	s.log.rev++
	s.log.touch()
	return nil
}

// TryDuty implements Log.
func (l *MemLog) TryDuty(_ context.Context, s SessionID, name string) (Duty, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions[s] == nil {
		return Duty{}, false, ErrSessionLost
	}
	if d, held := l.duties[name]; held {
		return d, d.Session == s, nil
	}
	l.rev++
	d := Duty{name, DutyEpoch(l.rev), s}
	l.duties[name] = d
	l.touch()
	return d, true, nil
}

// ReleaseDuty implements Keeper.
func (l *MemLog) ReleaseDuty(_ context.Context, d Duty) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.duties[d.Name] == d {
		l.rev++
		delete(l.duties, d.Name)
		l.touch()
	}
	return nil
}

// EndSession implements Keeper.
func (l *MemLog) EndSession(_ context.Context, id SessionID) error {
	l.Expire(id)
	return nil
}

// Sessions implements Keeper.
func (l *MemLog) Sessions(context.Context) ([]LiveSession, Revision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []LiveSession
	for _, id := range sortedKeys(l.sessions) {
		out = append(out, l.sessions[id].live)
	}
	return out, l.rev, nil
}

// CloseGeneration implements Keeper.
func (l *MemLog) CloseGeneration(_ context.Context, d Duty, g Generation) (Revision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.duties[d.Name] != d {
		return 0, ErrDutyLost
	}
	if l.generation != g {
		return 0, nil
	}
	l.rev++
	l.generation++
	l.touch()
	return l.rev, nil
}

// ReadGeneration implements Keeper.
func (l *MemLog) ReadGeneration(_ context.Context, g Generation, deliver func(Committed) error) error {
	l.mu.Lock()
	var list []Committed
	for _, c := range l.entries {
		if c.Generation == g {
			list = append(list, c)
		}
	}
	open := g >= l.generation
	l.mu.Unlock()
	if open {
		return fmt.Errorf("read generation %d: it is open", g)
	}
	for _, c := range list {
		if err := deliver(c); err != nil {
			return err
		}
	}
	return nil
}

// Truncate implements Keeper.
func (l *MemLog) Truncate(_ context.Context, d Duty, g Generation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.duties[d.Name] != d {
		return ErrDutyLost
	}
	if g >= l.generation {
		return fmt.Errorf("truncate generation %d: it is open", g)
	}
	l.rev++
	l.truncated = max(l.truncated, g)
	l.entries = slices.DeleteFunc(l.entries, func(c Committed) bool { return c.Generation <= l.truncated })
	clear(l.byKey)
	for i, c := range l.entries {
		l.byKey[c.Key()] = i
	}
	l.touch()
	return nil
}

// SetCheckpoint implements Keeper.
func (l *MemLog) SetCheckpoint(_ context.Context, d Duty, p CheckpointPointer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.duties[d.Name] != d {
		return ErrDutyLost
	}
	if l.checkpoint == nil || p.Revision > l.checkpoint.Revision {
		l.rev++
		l.checkpoint = &p
	}
	return nil
}

// Care implements Keeper.
func (l *MemLog) Care(_ context.Context, d Duty, _ Revision) (StoreHealth, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.duties[d.Name] != d {
		return StoreHealth{}, ErrDutyLost
	}
	return StoreHealth{Members: 1}, nil
}
