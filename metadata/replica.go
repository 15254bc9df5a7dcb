package metadata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Store is what archives and checkpoints need of the bucket. Keys are below
// "<cluster>/".
type Store interface {
	// Put stores an object once.
	Put(ctx context.Context, key string, body []byte) error
	// Get returns length bytes from off; length < 0 is to the end, off < 0 is the
	// last -off bytes. fs.ErrNotExist where there is no such object.
	Get(ctx context.Context, key string, off, length int64) ([]byte, error)
}

// ReplicaConfig is what a replica needs.
type ReplicaConfig struct {
	Log    Log
	Store  Store
	Logger *slog.Logger
	// Fatal is called once, with the reason, when this broker must stop
	// serving: corruption, a state that differs, a log that went back in time.
	Fatal func(error)
	// OnApply, where not nil, is called after each entry with the time for which it
	// stopped apply and all readers of the state. It must not block.
	OnApply func(time.Duration)
	// Limits, where not nil, replaces the state's limits, in tests.
	Limits *Limits
	hooks  Hooks
}

// Replica follows the log, applies every entry to its State, and wakes those who
// wait for one. One goroutine applies; it never waits for a reader.
type Replica struct {
	cfg ReplicaConfig

	mu             sync.RWMutex // guards state and the fields below; held for memory only
	state          *State
	retained       retainedInline
	marks          []StateMark // newest last
	snapshotWanted bool        // take a snapshot at the next RecordStateHash
	markSnapshot   *State

	observers  []func(*AppliedEntry) // set before Run
	afterBatch []func()              // set before Run
	waiters    waiters
	barriers   barriers

	applied      atomic.Int64
	head         atomic.Int64 // newest revision known to exist
	caughtUp     atomic.Bool
	advanced     broadcast   // after every delivery
	reloadWanted atomic.Bool // load the checkpoint again: this state differs from it
	reloads      int         // under mu
	archives     archiveIndexCache
	// archiveGone: an archive that the replay needed was deleted; the next pass
	// starts from the checkpoint, if that is newer. Only Run's goroutine uses it.
	archiveGone bool
	slow        slowEntries
}

// AppliedEntry is passed to observers. Entry is valid during the call only; it is
// nil where the entry was not decoded or not applied.
type AppliedEntry struct {
	Committed *CommittedEntry
	Entry     *Entry
	Outcome   *Outcome
}

// NewReplica returns a replica of the empty state.
func NewReplica(cfg ReplicaConfig) *Replica {
	r := &Replica{cfg: cfg, state: NewState()}
	r.overrideLimits(r.state)
	r.retained.initRetained()
	r.waiters.initWaiters()
	r.barriers.initQueue()
	r.archives.initCache()
	return r
}

// overrideLimits sets the replica's limits in a state.
func (r *Replica) overrideLimits(s *State) {
	if r.cfg.Limits != nil {
		s.limits = *r.cfg.Limits
	}
}

// Observe registers f to be called after each entry, by the goroutine that
// applies, without a lock. It must not block. Only before Run.
func (r *Replica) Observe(f func(*AppliedEntry)) { r.observers = append(r.observers, f) }

// AfterBatch registers f to be called after all entries that arrived together are
// applied, so that one wake-up covers them all. Only before Run.
func (r *Replica) AfterBatch(f func()) { r.afterBatch = append(r.afterBatch, f) }

// View calls f with the state, which does not change meanwhile. f is short, never
// blocks, and keeps only what State's methods allow it to keep.
func (r *Replica) View(f func(*State)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	f(r.state)
}

// Applied returns the revision up to which the state has every entry.
func (r *Replica) Applied() Revision { return Revision(r.applied.Load()) }

// Head returns the newest revision known to exist; Head - Applied is the lag.
func (r *Replica) Head() Revision { return max(Revision(r.head.Load()), r.Applied()) }

// CaughtUp reports whether the entries listed at the start, or after a restart of
// following, are applied.
func (r *Replica) CaughtUp() bool { return r.caughtUp.Load() }

// WaitApplied waits until everything up to rev is in the state.
func (r *Replica) WaitApplied(ctx context.Context, rev Revision) error {
	for {
		turn := r.advanced.wait()
		if r.Applied() >= rev {
			return nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return fmt.Errorf("wait for revision %d (applied %d): %w", rev, r.Applied(), ctx.Err())
		}
	}
}

// Run follows the log until ctx ends, and then returns nil. It returns an error
// where the broker must stop. It retries after temporary faults.
func (r *Replica) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { r.barriers.serveReads(ctx, r.cfg.Log) })
	defer wg.Wait()
	defer cancel()
	pause, damaged := 10*time.Millisecond, 0
	for ctx.Err() == nil {
		before := r.Applied()
		err := r.followOnce(ctx)
		if !errors.Is(err, ErrCorrupt) || r.Applied() > before {
			damaged = 0
		}
		if errors.Is(err, ErrCorrupt) {
			damaged++
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case damaged > 0 && damaged < maxDamagedReads:
			r.cfg.Logger.Warn("corrupt data read from the log or the bucket: retrying; this broker stops if it persists", "time", damaged, "err", err)
		case errors.Is(err, ErrOlderLog) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) || errors.Is(err, ErrLevel) || errors.Is(err, ErrNewerIncarnation):
			return fmt.Errorf("follow the log: %w", err)
		case errors.Is(err, ErrCompacted) || errors.Is(err, errLaneGap) || errors.Is(err, errReload):
			r.cfg.Logger.Info("restarting the log follower from the start", "reason", err)
		case errors.Is(err, fs.ErrNotExist):
			r.cfg.Logger.Warn("a checkpoint or an archive is missing from the bucket: reading again which ones to start from", "err", err)
		default:
			LogFailure(r.cfg.Logger, "following the log was interrupted", err)
		}
		if r.Applied() > before {
			pause = 10 * time.Millisecond
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, time.Second)
	}
	return nil
}

// maxDamagedReads is how often one object is read damaged before the stored
// object, and not its transfer, is taken to be damaged.
const maxDamagedReads = 3

// errLaneGap: an entry arrived without its predecessor in its lane.
var errLaneGap = errors.New("gap in a lane")

// errReload: this state differs from the checkpoint's, which replaces it.
var errReload = errors.New("state differs from the checkpoint")

// followOnce is one pass: find the start, read the bucket, then follow the log.
func (r *Replica) followOnce(ctx context.Context) error {
	from, err := r.cfg.Log.Start(ctx)
	if err != nil {
		return fmt.Errorf("read start point: %w", err)
	}
	r.head.Store(max(r.head.Load(), int64(from.Head)))
	if from.Checkpoint == nil { // the log is applied from its beginning
		if err := CheckLevel(from.Level); err != nil {
			return err
		}
	}
	if err := r.loadCheckpoint(ctx, from.Checkpoint); err != nil {
		return err
	}
	if err := r.replayArchives(ctx, from); err != nil {
		r.archiveGone = r.archiveGone || errors.Is(err, fs.ErrNotExist)
		return err
	}
	r.archiveGone = false
	return r.cfg.Log.Follow(ctx, from, r.applyBatch)
}

// applyBatch applies entries that arrived together.
func (r *Replica) applyBatch(batch []CommittedEntry, upTo Revision, caughtUp bool) error {
	defer func() {
		for _, woken := range r.afterBatch {
			woken()
		}
	}()
	if r.reloadWanted.Load() && caughtUp {
		return errReload
	}
	r.head.Store(max(r.head.Load(), int64(upTo)))
	for i := range batch {
		if err := r.applyEntry(&batch[i], true); err != nil {
			return err
		}
	}
	if caughtUp {
		r.applied.Store(max(r.applied.Load(), int64(upTo)))
		r.caughtUp.Store(true)
	}
	r.advanced.wakeAll()
	return nil
}

// applyEntry applies an entry and wakes its waiter. retain keeps its inline bytes
// in memory, as its extent is not archived yet.
func (r *Replica) applyEntry(c *CommittedEntry, retain bool) error {
	if err := r.checkLaneGap(c); err != nil {
		return err
	}
	if before := r.cfg.hooks.BeforeApply; before != nil {
		before(c.Revision)
	}
	r.mu.Lock()
	if c.Revision <= r.state.revision {
		if retain {
			r.retained.add(c) // the checkpoint has its result, but not its bytes
		}
		r.mu.Unlock()
		return nil
	}
	start := time.Now()
	out, e := r.state.Apply(c)
	level, others := r.state.level, ""
	if level > MaxFeatureLevel {
		others = r.state.describeNewestSession()
	}
	if retain && e != nil && len(e.Inline) > 0 {
		r.retained.add(c)
	}
	marked := r.handleReplicaCommands(e, &out)
	took := time.Since(start)
	r.mu.Unlock()
	if r.cfg.OnApply != nil {
		r.cfg.OnApply(took)
	}
	if took > MaxApplyTime {
		r.slow.addEntry(took, c, e, r.cfg.Logger)
	}
	if marked {
		r.cfg.Logger.Debug("recorded the state hash", "revision", c.Revision)
	}
	if out.Code == CodeRefused || out.Code == CodeGap {
		r.cfg.Logger.Error("ALARM: entry refused", "revision", c.Revision, "session", c.Session, "lane", c.Lane, "seq", c.Seq, "reason", out.Text)
	}
	if level > MaxFeatureLevel { // this entry raised it
		return fmt.Errorf("entry at revision %d raised the feature level%s: %w", c.Revision, others, CheckLevel(level))
	}
	r.applied.Store(int64(c.Revision))
	seen := AppliedEntry{c, e, &out}
	for _, f := range r.observers {
		f(&seen)
	}
	r.waiters.resolve(c.Key(), out)
	return nil
}

// checkLaneGap starts another listing where an entry's predecessor in its lane
// has not arrived, once. If the log itself has the gap, apply closes the session.
func (r *Replica) checkLaneGap(c *CommittedEntry) error {
	r.mu.RLock()
	open := r.state.sessions[c.Session] != nil
	last := r.state.LaneSeq(c.Session, c.Lane)
	newer := c.Revision > r.state.revision
	r.mu.RUnlock()
	if !open || !newer || c.Seq <= last+1 || r.waiters.repeatsGap(c.Key()) {
		return nil
	}
	return fmt.Errorf("%w: %s/%s/%d after %d", errLaneGap, c.Session, c.Lane, c.Seq, last)
}

// handleReplicaCommands handles the commands that concern the replica itself: marks and
// archives.
func (r *Replica) handleReplicaCommands(e *Entry, out *Outcome) (marked bool) {
	if e == nil {
		return false
	}
	for i, cmd := range e.Commands {
		switch cmd := cmd.(type) {
		case RecordStateHash:
			marked = true
			r.marks = append(r.marks, StateMark{r.state.revision, r.state.extent, r.state.Hash()})
			if len(r.marks) > maxMarks {
				r.marks = r.marks[1:]
			}
			if r.snapshotWanted {
				r.snapshotWanted, r.markSnapshot = false, r.state.snapshot()
			}
		case AcceptArchive:
			if out.Commands[i].Code == CodeOK {
				r.retained.dropUpTo(cmd.Last)
			}
		}
	}
	return marked
}

// Snapshot returns an immutable copy of the state, for readers that need longer
// than a View may take. It costs a copy of some page lists, and apply a copy of
// each page that it changes afterwards.
func (r *Replica) Snapshot() *State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.snapshot()
}

// Store returns where archives and checkpoints are.
func (r *Replica) Store() Store { return r.cfg.Store }
