package metadata

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MemLog is an in-memory Log and LogAdmin, for tests of the packages above. It
// has the rules that matter (one order, guards, lanes, extents) and no faults of
// its own.
type MemLog struct {
	mu          sync.Mutex
	incarnation Incarnation
	rev         Revision
	head        Revision
	extent      Extent
	truncated   Extent
	archive     string // of truncated
	checkpoint  *CheckpointPointer
	entries     []CommittedEntry // of extents not truncated
	byKey       map[EntryKey]int
	guardFailed map[EntryKey]bool
	sessions    map[SessionID]*memSession
	roles       map[string]Role
	changed     chan struct{} // closed and replaced by every change
	// Latency, where set, is how long an append takes.
	Latency time.Duration
}

var (
	_ Log      = (*MemLog)(nil)
	_ LogAdmin = (*MemLog)(nil)
)

type memSession struct {
	log  *MemLog
	live LiveSession
	done chan struct{}
}

// NewMemLog returns an empty log in its first extent.
func NewMemLog() *MemLog { return NewMemLogOf(1) }

// NewMemLogOf returns an empty log of an incarnation.
func NewMemLogOf(i Incarnation) *MemLog {
	return &MemLog{incarnation: i, rev: i.Base(), extent: 1, byKey: map[EntryKey]int{}, guardFailed: map[EntryKey]bool{},
		sessions: map[SessionID]*memSession{}, roles: map[string]Role{}, changed: make(chan struct{})}
}

func (l *MemLog) notifyChanged() {
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
		return AppendResult{l.entries[i].Revision, l.entries[i].Extent, l.guardFailed[r.Key]}, nil
	}
	bytes := slices.Clone(r.Bytes)
	failed := r.Guard != nil && !l.guardHolds(r.Guard)
	if failed {
		bytes = nil
	}
	l.rev++
	l.head = l.rev
	l.byKey[r.Key] = len(l.entries)
	l.guardFailed[r.Key] = failed
	l.entries = append(l.entries, CommittedEntry{l.rev, l.extent, r.Key.Session, r.Key.Lane, r.Key.Seq, bytes})
	l.notifyChanged()
	return AppendResult{l.rev, l.extent, failed}, nil
}

func (l *MemLog) guardHolds(g *Guard) bool {
	if g.Role != "" && l.roles[g.Role].Epoch != g.RoleEpoch {
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
	return StartPoint{Incarnation: l.incarnation, Revision: l.rev, Head: l.head, Extent: l.extent,
		ArchivedUpTo: l.truncated, ArchivedObject: l.archive, Checkpoint: l.checkpoint, Level: MinFeatureLevel}, nil
}

// Follow implements Log.
func (l *MemLog) Follow(ctx context.Context, from StartPoint, deliver func([]CommittedEntry, Revision, bool) error) error {
	after := Revision(0)
	for {
		l.mu.Lock()
		if l.truncated > from.ArchivedUpTo && after < from.Revision {
			l.mu.Unlock()
			return ErrCompacted
		}
		var batch []CommittedEntry
		for _, c := range l.entries {
			if c.Revision > after && c.Extent > from.ArchivedUpTo {
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
	l.notifyChanged()
	return s, nil
}

// ExpireSession ends a session as a lapsed lease would.
func (l *MemLog) ExpireSession(id SessionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sessions[id]
	if s == nil {
		return
	}
	l.rev++
	delete(l.sessions, id)
	for name, role := range l.roles {
		if role.Session == id {
			delete(l.roles, name)
		}
	}
	close(s.done)
	l.notifyChanged()
}

func (s *memSession) ID() SessionID         { return s.live.ID }
func (s *memSession) Done() <-chan struct{} { return s.done }
func (s *memSession) Close(context.Context) error {
	s.log.ExpireSession(s.live.ID)
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
	s.log.notifyChanged()
	return nil
}

// TryRole implements Log.
func (l *MemLog) TryRole(_ context.Context, s SessionID, name string) (Role, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions[s] == nil {
		return Role{}, false, ErrSessionLost
	}
	if role, held := l.roles[name]; held {
		return role, role.Session == s, nil
	}
	l.rev++
	role := Role{name, RoleEpoch(l.rev), s}
	l.roles[name] = role
	l.notifyChanged()
	return role, true, nil
}

// ReleaseRole implements LogAdmin.
func (l *MemLog) ReleaseRole(_ context.Context, role Role) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.roles[role.Name] == role {
		l.rev++
		delete(l.roles, role.Name)
		l.notifyChanged()
	}
	return nil
}

// EndSession implements LogAdmin.
func (l *MemLog) EndSession(_ context.Context, id SessionID) error {
	l.ExpireSession(id)
	return nil
}

// Sessions implements LogAdmin.
func (l *MemLog) Sessions(context.Context) ([]LiveSession, Revision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []LiveSession
	for _, id := range sortedKeys(l.sessions) {
		out = append(out, l.sessions[id].live)
	}
	return out, l.rev, nil
}

// CloseExtent implements LogAdmin.
func (l *MemLog) CloseExtent(_ context.Context, role Role, g Extent) (Revision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.roles[role.Name] != role {
		return 0, ErrRoleLost
	}
	if l.extent != g {
		return 0, nil
	}
	l.rev++
	l.extent++
	l.notifyChanged()
	return l.rev, nil
}

// ReadExtent implements LogAdmin.
func (l *MemLog) ReadExtent(_ context.Context, g Extent, deliver func(CommittedEntry) error) error {
	l.mu.Lock()
	var list []CommittedEntry
	for _, c := range l.entries {
		if c.Extent == g {
			list = append(list, c)
		}
	}
	open := g >= l.extent
	l.mu.Unlock()
	if open {
		return fmt.Errorf("read extent %d: it is open", g)
	}
	for _, c := range list {
		if err := deliver(c); err != nil {
			return err
		}
	}
	return nil
}

// DeleteArchived implements LogAdmin.
func (l *MemLog) DeleteArchived(_ context.Context, role Role, g Extent, object string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.roles[role.Name] != role {
		return ErrRoleLost
	}
	switch {
	case g >= l.extent:
		return fmt.Errorf("truncate extent %d: it is open", g)
	case g == 0 || object == "":
		return fmt.Errorf("truncate extent %d: no archive %q", g, object)
	case g == l.truncated && object != l.archive:
		return fmt.Errorf("truncate extent %d: its archive is %s, not %s", g, l.archive, object)
	}
	l.rev++
	if g > l.truncated {
		l.truncated, l.archive = g, object
	}
	l.entries = slices.DeleteFunc(l.entries, func(c CommittedEntry) bool { return c.Extent <= l.truncated })
	clear(l.byKey)
	for i, c := range l.entries {
		l.byKey[c.Key()] = i
	}
	l.notifyChanged()
	return nil
}

// SetCheckpoint implements LogAdmin.
func (l *MemLog) SetCheckpoint(_ context.Context, role Role, p CheckpointPointer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.roles[role.Name] != role {
		return ErrRoleLost
	}
	if l.checkpoint == nil || p.Revision > l.checkpoint.Revision {
		l.rev++
		l.checkpoint = &p
	}
	return nil
}

// CompactStore implements LogAdmin.
func (l *MemLog) CompactStore(_ context.Context, role Role, _ Revision) (StoreHealth, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.roles[role.Name] != role {
		return StoreHealth{}, ErrRoleLost
	}
	return StoreHealth{Members: 1}, nil
}
