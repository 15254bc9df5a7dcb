package metadata

import (
	"context"
	"errors"
)

// Errors of the Log door.
var (
	// ErrSessionLost: the session's key is gone; nothing of it can commit any
	// more. An append that returns it did not and will not land.
	ErrSessionLost = errors.New("session lost")
	// ErrCompacted: the log's history is gone where the follower stands;
	// start again from the top.
	ErrCompacted = errors.New("log compacted")
	// ErrOutcomeUnknown: the fate of an append cannot be told (a checkpoint jumped
	// over it). It must not be submitted again.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrOlderLog: the log went back in time (etcd restored from a backup).
	// The broker must stop.
	ErrOlderLog = errors.New("log is older than what was read before")
	// ErrUnavailable: the log's store does not answer, or cannot serve. It
	// passes, and the Log reports it itself.
	ErrUnavailable = errors.New("the log is unavailable")
	// ErrRoleLost: the role or its session is no longer held.
	ErrRoleLost = errors.New("role lost")
	// ErrNewerIncarnation: the cluster was recovered elsewhere.
	ErrNewerIncarnation = errors.New("newer incarnation")
)

// Guard is a further condition of an append beside session, generation and
// incarnation. An entry with a guard travels alone; where only the guard
// fails an empty entry takes its place and the append's outcome is
// CodeGuardFailed.
type Guard struct {
	// RoleHeld: the role of this name is held at this epoch.
	Role      string
	RoleEpoch RoleEpoch
	// SessionGone: this session's key is absent.
	SessionGone SessionID
	// LiveSessions: exactly these session keys are present (level, open).
	LiveSessions []SessionID
}

// AppendRequest asks for an entry at (session, lane, seq). Bytes are frozen:
// the log may send them again.
type AppendRequest struct {
	Key   EntryKey
	Bytes []byte
	Guard *Guard
}

// AppendResult tells where an entry was committed.
type AppendResult struct {
	Revision Revision
	Extent   Extent
	// GuardFailed: an empty entry was committed in its place.
	GuardFailed bool
}

// Applied tells the log what this broker's replica has applied, for the one
// case in which an unknown outcome cannot be read from the log any more.
type Applied interface {
	// WaitEntry waits until the replica has applied to rev and tells at
	// which revision the entry was applied, or 0 where it was not.
	// ErrOutcomeUnknown where a checkpoint jumped over it.
	WaitEntry(ctx context.Context, rev Revision, key EntryKey) (Revision, error)
}

// StartPoint is one consistent read of what a follower begins with.
type StartPoint struct {
	Incarnation Incarnation
	Revision    Revision // of the read
	Head        Revision // of the newest entry
	Extent      Extent
	Truncated   Extent // generations up to this one are read from the bucket
	Checkpoint  *CheckpointPointer
	Level       FeatureLevel // of the log's format key
}

// CheckpointPointer names a checkpoint of the state in the bucket.
type CheckpointPointer struct {
	Revision Revision // everything up to it is applied in it
	Extent   Extent   // of the entry at Revision
	Object   string   // key below "<cluster>/"
	Hash     uint64   // the state's
}

// Session is one life of one broker process, as the log sees it.
type Session interface {
	ID() SessionID
	// Done is closed when the session is lost, or may be: its key's absence
	// was seen, or its lease could not be renewed in time.
	Done() <-chan struct{}
	// Publish replaces what the session's key says of load and state hash.
	Publish(ctx context.Context, s SessionStatus) error
	// Close gives the session up.
	Close(ctx context.Context) error
}

// SessionInfo is written once with the session's key.
type SessionInfo struct {
	Nonce string // random, names the key
	Zone  ZoneID
	Peer  string // host:port of the broker-to-broker door
	// Settings are those that brokers of a cluster should have in common, by
	// name; nil: none are told.
	Settings map[string]string
}

// SessionStatus is rewritten every few seconds.
type SessionStatus struct {
	Broker       BrokerID
	Clock        UnixMilli
	Applied      Revision
	HashRevision Revision // the newest every-Nth entry, and the state's hash there
	Hash         uint64
}

// LiveSession is a session key as it stands in the log.
type LiveSession struct {
	ID     SessionID
	Info   SessionInfo
	Status SessionStatus
}

// Role is a lease-bound lock for work that one broker does.
type Role struct {
	Name    string
	Epoch   RoleEpoch
	Session SessionID
}

// Log is the door to the cluster's order. Errors that are not one of the
// above are passing: the caller tries again until its context ends.
type Log interface {
	// Append resolves one entry: committed (with the revision), or an error
	// that says it never will be (ErrSessionLost), or that it cannot be known
	// (ErrOutcomeUnknown, or the context's error). It retries by itself. The caller
	// sends seq n+1 of a lane only after n is resolved.
	Append(ctx context.Context, r AppendRequest) (AppendResult, error)
	// Start reads where a follower begins.
	Start(ctx context.Context) (StartPoint, error)
	// Follow delivers every entry of generations after from.Truncated, in
	// revision order and once, first those present at from.Revision, then as
	// they come, until ctx ends or an error. A call of deliver has entries
	// that arrived together, and the revision up to which nothing is missing.
	// caughtUp is true from the first delivery after the listing on.
	Follow(ctx context.Context, from StartPoint, deliver func(batch []CommittedEntry, upTo Revision, caughtUp bool) error) error
	// Barrier is one linearizable read: the revision of the newest entry.
	Barrier(ctx context.Context) (Revision, error)
	// OpenSession begins a session.
	OpenSession(ctx context.Context, info SessionInfo) (Session, error)
	// TryRole takes the role for the session if nobody holds it. ok is false
	// where somebody else does.
	TryRole(ctx context.Context, s SessionID, name string) (role Role, ok bool, err error)
}

// LogAdmin is the log's care. Every write is guarded by the role's and the
// session's keys and fails with ErrRoleLost where they are gone.
type LogAdmin interface {
	// ReleaseRole gives a role up; one that is lost already is no error.
	ReleaseRole(ctx context.Context, role Role) error
	// EndSession takes away what is left in the log of a session that apply has
	// closed: its key and its roles. One that is gone is no error.
	EndSession(ctx context.Context, id SessionID) error
	// Sessions lists the live session keys, and the revision of the list.
	Sessions(ctx context.Context) ([]LiveSession, Revision, error)
	// CloseExtent moves the log from generation g to g+1, and returns the
	// revision at which it happened. Where it is past g already, 0.
	CloseExtent(ctx context.Context, role Role, g Extent) (Revision, error)
	// ReadExtent delivers the entries of a closed generation in revision
	// order.
	ReadExtent(ctx context.Context, g Extent, deliver func(CommittedEntry) error) error
	// Truncate says that generations up to g are read from the bucket, then
	// deletes their keys, gently. It finishes what an earlier holder began.
	Truncate(ctx context.Context, role Role, g Extent) error
	// SetCheckpoint moves the checkpoint pointer; an older one is a no-op.
	SetCheckpoint(ctx context.Context, role Role, p CheckpointPointer) error
	// CompactStore compacts the log's store behind rev and reports its size.
	CompactStore(ctx context.Context, role Role, behind Revision) (StoreHealth, error)
}

// StoreHealth is how the log's store is.
type StoreHealth struct {
	SizeBytes, InUseBytes, QuotaBytes int64
	Members                           int
	Leader                            ZoneID // where its leader stands, if known
}
