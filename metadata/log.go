package metadata

import (
	"context"
	"errors"
)

// Errors of a Log.
var (
	// ErrSessionLost: the session's key is gone; nothing of the session can
	// commit any more. An append that returns it was not and will not be
	// committed.
	ErrSessionLost = errors.New("session lost")
	// ErrCompacted: the log no longer has the entries from the follower's
	// position on; start again with Start.
	ErrCompacted = errors.New("log compacted")
	// ErrOutcomeUnknown: the outcome of an append cannot be found out, as a
	// checkpoint skipped over its entry. It must not be submitted again.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrOlderLog: the log went back in time (etcd restored from a backup).
	// The broker must stop.
	ErrOlderLog = errors.New("log is older than what was read before")
	// ErrUnavailable: the log's store does not answer, or cannot serve. It is
	// temporary, and the Log reports it itself.
	ErrUnavailable = errors.New("the log is unavailable")
	// ErrRoleLost: the role or its session is no longer held.
	ErrRoleLost = errors.New("role lost")
	// ErrNewerIncarnation: the cluster was recovered into another etcd.
	ErrNewerIncarnation = errors.New("newer incarnation")
)

// Guard is a further condition of an append, in addition to session, extent and
// incarnation. An entry with a guard is sent alone. Where only the guard fails,
// an empty entry takes its place and the append's outcome is CodeGuardFailed.
type Guard struct {
	// RoleHeld: the role of this name is held at this epoch.
	Role      string
	RoleEpoch RoleEpoch
	// SessionGone: this session's key is absent.
	SessionGone SessionID
	// LiveSessions: exactly these session keys are present (level, open).
	LiveSessions []SessionID
}

// AppendRequest is an entry for (session, lane, seq). Bytes must not change any
// more: the log may send them again.
type AppendRequest struct {
	Key   EntryKey
	Bytes []byte
	Guard *Guard
}

// AppendResult is where an entry was committed.
type AppendResult struct {
	Revision Revision
	Extent   Extent
	// GuardFailed: an empty entry was committed in its place.
	GuardFailed bool
}

// Applied reports to the log what this broker's replica has applied, for the one
// case in which an unknown outcome cannot be read from the log any more.
type Applied interface {
	// WaitEntry waits until the replica has applied everything up to rev. It
	// returns the revision at which the entry was applied, or 0 where it was not.
	// ErrOutcomeUnknown where a checkpoint skipped over it.
	WaitEntry(ctx context.Context, rev Revision, key EntryKey) (Revision, error)
}

// StartPoint is one consistent read of where a follower begins.
type StartPoint struct {
	Incarnation  Incarnation
	Revision     Revision // of the read
	Head         Revision // of the newest entry
	Extent       Extent
	ArchivedUpTo Extent // extents up to this one are read from the bucket
	// ArchivedObject is the key, below "<cluster>/", of the accepted archive of
	// extent ArchivedUpTo; empty where that is 0.
	ArchivedObject string
	Checkpoint     *CheckpointPointer
	Level          FeatureLevel // at which the log began
}

// CheckpointPointer names a checkpoint in the bucket.
type CheckpointPointer struct {
	Revision Revision // the state has every entry up to it
	Extent   Extent   // of the entry at Revision
	Object   string   // key below "<cluster>/"
	Hash     uint64   // the state's
}

// Session is one run of one broker process, as the log has it.
type Session interface {
	ID() SessionID
	// Done is closed when the session is lost, or may be: its key was found
	// missing, or its lease could not be renewed in time.
	Done() <-chan struct{}
	// Publish replaces the status in the session's key.
	Publish(ctx context.Context, s SessionStatus) error
	// Close ends the session.
	Close(ctx context.Context) error
}

// SessionInfo is written once with the session's key.
type SessionInfo struct {
	Nonce string // random, names the key
	Zone  ZoneID
	Peer  string // host:port of the broker-to-broker listener
	// Settings are those that brokers of a cluster should have in common, by
	// name; nil: none are published.
	Settings map[string]string
}

// SessionStatus is rewritten every few seconds.
type SessionStatus struct {
	Broker       BrokerID
	Clock        UnixMilli
	Applied      Revision
	HashRevision Revision // of the newest RecordStateHash entry, and the state's hash there
	Hash         uint64
}

// LiveSession is a session key in the log.
type LiveSession struct {
	ID     SessionID
	Info   SessionInfo
	Status SessionStatus
}

// Role is a lock for work that one broker does; it ends with the session's lease.
type Role struct {
	Name    string
	Epoch   RoleEpoch
	Session SessionID
}

// Log is the cluster's order. Errors other than the ones above are temporary: the
// caller tries again until its context ends.
type Log interface {
	// Append resolves one entry: it is committed (with the revision), or an error
	// says that it never will be (ErrSessionLost) or that the outcome is unknown
	// (ErrOutcomeUnknown, or the context's error). Append retries by itself. The
	// caller sends seq n+1 of a lane only after n is resolved.
	Append(ctx context.Context, r AppendRequest) (AppendResult, error)
	// Start returns where a follower begins.
	Start(ctx context.Context) (StartPoint, error)
	// Follow delivers every entry of the extents after from.ArchivedUpTo once and in
	// revision order: first those present at from.Revision, then new ones, until
	// ctx ends or an error. A call of deliver has the entries that arrived
	// together, and the revision up to which nothing is missing. caughtUp is true
	// from the first delivery after the listing on.
	Follow(ctx context.Context, from StartPoint, deliver func(batch []CommittedEntry, upTo Revision, caughtUp bool) error) error
	// Barrier is one linearizable read: the revision of the newest entry.
	Barrier(ctx context.Context) (Revision, error)
	// OpenSession begins a session.
	OpenSession(ctx context.Context, info SessionInfo) (Session, error)
	// TryRole takes the role for the session if it is free. ok is false where
	// another session holds it.
	TryRole(ctx context.Context, s SessionID, name string) (role Role, ok bool, err error)
}

// LogAdmin is the maintenance of a log. Every write is guarded by the keys of the
// role and the session, and fails with ErrRoleLost where one of them is gone.
type LogAdmin interface {
	// ReleaseRole releases a role; one that is lost already is no error.
	ReleaseRole(ctx context.Context, role Role) error
	// EndSession deletes what the log still has of a session that apply has
	// closed: its key and its roles. No error where they are gone.
	EndSession(ctx context.Context, id SessionID) error
	// Sessions lists the live session keys, and the revision of the list.
	Sessions(ctx context.Context) ([]LiveSession, Revision, error)
	// CloseExtent moves the log from extent g to g+1 and returns the revision of
	// that; 0 where the log is past g already.
	CloseExtent(ctx context.Context, role Role, g Extent) (Revision, error)
	// ReadExtent delivers the entries of a closed extent in revision order.
	ReadExtent(ctx context.Context, g Extent, deliver func(CommittedEntry) error) error
	// DeleteArchived records that extents up to g are read from the bucket, from
	// object (the accepted archive of g, by the state) and its predecessors, then
	// deletes their keys in small steps. It finishes what an earlier holder
	// began. It is an error, and deletes nothing, where another object is recorded
	// for g.
	DeleteArchived(ctx context.Context, role Role, g Extent, object string) error
	// SetCheckpoint moves the checkpoint pointer; an older one is a no-op.
	SetCheckpoint(ctx context.Context, role Role, p CheckpointPointer) error
	// CompactStore compacts the log's store behind rev and reports its size.
	CompactStore(ctx context.Context, role Role, behind Revision) (StoreHealth, error)
}

// StoreHealth is the size and the members of the log's store.
type StoreHealth struct {
	SizeBytes, InUseBytes, QuotaBytes int64
	Members                           int
	Leader                            ZoneID // the zone of its leader, if known
}
