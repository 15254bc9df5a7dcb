package metadata

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Submitter commits commands on the control lane (wal.WAL).
type Submitter interface {
	Submit(ctx context.Context, cmds []Command, guard *Guard) (Outcome, error)
}

// MaintenanceConfig is what one session's custodian needs.
type MaintenanceConfig struct {
	Log       Log
	Admin     LogAdmin
	Store     Store
	Replica   *Replica
	Submitter Submitter
	Session   Session
	Broker    BrokerID
	Logger    *slog.Logger
	Rand      *rand.Rand // phases only
	Health    func(StoreHealth)
	Times     MaintenanceTimes
	Clock     Clock
}

// MaintenanceTimes are the clocks of the duties.
type MaintenanceTimes struct {
	Publish    time.Duration // how often the session's key is rewritten
	Tick       time.Duration // how often state time moves
	Archive    time.Duration // how often a generation is closed
	Checkpoint time.Duration // how often the state is written
	Sweep      time.Duration // how often dead sessions are looked for
	// ArchiveEntries and ArchiveInline close a generation sooner.
	ArchiveEntries uint64
	ArchiveInline  int64
}

// DefaultMaintenanceTimes returns the design's clocks.
func DefaultMaintenanceTimes() MaintenanceTimes {
	return MaintenanceTimes{Publish: 2 * time.Second, Tick: 5 * time.Second, Archive: 10 * time.Second,
		Checkpoint: 30 * time.Second, Sweep: 2 * time.Second, ArchiveEntries: 20_000, ArchiveInline: 24 << 20}
}

// Maintenance does one session's share of the log maintenance failed: it publishes the
// session, and competes for the duties that one broker does for all (archive,
// checkpoint, ticks, closing dead sessions). Whoever holds a duty may die at
// any point; the next holder finishes what it finds.
type Maintenance struct {
	cfg          MaintenanceConfig
	checkpointer Checkpointer
	clocks       clockMarks // written by publish, read by tick

	lastClose           time.Time
	lastCompaction      time.Time
	checkpointedEntries uint64         // entries in the last checkpoint
	archiveRefusals     map[Extent]int // refused by apply
	archivesNamed       int            // used by this session
}

// The duties.
const (
	RoleArchive    = "archive"
	RoleCheckpoint = "checkpoint"
	RoleTick       = "tick"
	RoleSweep      = "sweep"
)

// NewMaintenance returns the custodian of a session.
func NewMaintenance(cfg MaintenanceConfig) *Maintenance {
	return &Maintenance{cfg: cfg, archiveRefusals: map[Extent]int{}}
}

// Run works until ctx ends or the session is lost. It returns an error where
// this broker must stop serving.
func (c *Maintenance) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := c.cfg.Times
	var wg sync.WaitGroup
	loops := []struct {
		every time.Duration
		do    func(context.Context) error
	}{
		{t.Publish, c.publishStatus},
		{t.Tick, c.whileHoldingRole(RoleTick, c.advanceTime)},
		{t.Sweep, c.whileHoldingRole(RoleSweep, c.closeDeadSessions)},
		{min(t.Archive/4, time.Second), c.whileHoldingRole(RoleArchive, c.maintainArchives)},
		{t.Checkpoint, c.whileHoldingRole(RoleCheckpoint, c.writeCheckpoint)},
	}
	for _, l := range loops {
		phase := time.Duration(c.cfg.Rand.Int64N(int64(l.every)))
		wg.Go(func() {
			if err := c.repeat(ctx, l.every, phase, l.do); err != nil {
				cancel(err)
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-c.cfg.Session.Done():
		cancel(nil)
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// repeat calls do every so often, first after a phase of its own. Only errors
// that this broker must not survive end it.
func (c *Maintenance) repeat(ctx context.Context, every, phase time.Duration, do func(context.Context) error) error {
	timer := time.NewTimer(phase)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		err := do(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, ErrCorrupt) || errors.Is(err, ErrOlderLog) || errors.Is(err, ErrNewerIncarnation):
			return err
		default:
			LogFailure(c.cfg.Logger, "log maintenance failed", err)
		}
		timer.Reset(every)
	}
}

// whileHoldingRole wraps work that one broker does: it is done only while the duty is
// held, and by a new holder only once it has applied what its predecessor may
// have written.
func (c *Maintenance) whileHoldingRole(name string, do func(context.Context, Role) error) func(context.Context) error {
	var seen RoleEpoch
	return func(ctx context.Context) error {
		d, held, err := c.cfg.Log.TryRole(ctx, c.cfg.Session.ID(), name)
		if err != nil || !held {
			return err
		}
		if d.Epoch != seen {
			if err := c.cfg.Replica.Barrier(ctx); err != nil {
				return err
			}
			seen = d.Epoch
		}
		return do(ctx, d)
	}
}

// publishStatus rewrites the session's key, and holds this state's hash against the
// newest checkpoint's.
func (c *Maintenance) publishStatus(ctx context.Context) error {
	mark, _, _ := c.cfg.Replica.Marks(0)
	status := SessionStatus{Broker: c.cfg.Broker, Applied: c.cfg.Replica.Applied(), HashRevision: mark.Revision, Hash: mark.Hash}
	status.Clock = c.cfg.Clock.Now() // after Applied: clockMarks counts on it
	if err := c.cfg.Session.Publish(ctx, status); err != nil {
		return err
	}
	sent := time.Now()
	start, err := c.cfg.Log.Start(ctx)
	if err != nil {
		return err
	}
	c.clocks.record(sent, start.Revision)
	return c.cfg.Replica.CompareCheckpoint(start.Checkpoint)
}

// maxTimedOutTxns is how many transactions one tick aborts: with the longest ids
// they fit an entry.
const maxTimedOutTxns = 100

// advanceTime moves state time to this broker's clock. The clock is read after what
// may block: a clock that was right before a pause of the log is not off.
func (c *Maintenance) advanceTime(ctx context.Context, d Role) error {
	live, _, err := c.cfg.Admin.Sessions(ctx)
	if err != nil {
		return err
	}
	now, to := time.Now(), c.cfg.Clock.Now()
	if by := c.clocks.measureSkew(live, c.cfg.Session.ID(), now, to); by > maxClockSkew || by < -maxClockSkew {
		c.cfg.Logger.Error("this broker's clock is off: it releases the tick role to another broker; synchronize the clock (NTP)",
			"clock", time.UnixMilli(int64(to)).UTC(), "ahead_by_at_least", time.Duration(by)*time.Millisecond)
		return c.cfg.Admin.ReleaseRole(ctx, d)
	}
	var at UnixMilli
	var late []AbortTxn
	c.cfg.Replica.View(func(s *State) { at, late = s.time, s.TimedOutTxns(maxTimedOutTxns) })
	if at != 0 {
		to = min(to, at+MaxTickStep)
	}
	if to <= at {
		return nil
	}
	cmds := []Command{Tick{to}}
	for _, l := range late {
		cmds = append(cmds, l)
	}
	_, err = c.cfg.Submitter.Submit(ctx, cmds, &Guard{Role: d.Name, RoleEpoch: d.Epoch})
	return err
}

// closeDeadSessions closes the sessions whose keys are gone.
func (c *Maintenance) closeDeadSessions(ctx context.Context, _ Role) error {
	live, at, err := c.cfg.Admin.Sessions(ctx)
	if err != nil {
		return err
	}
	if err := c.cfg.Replica.WaitApplied(ctx, min(at, c.cfg.Replica.Head())); err != nil {
		return err
	}
	alive := map[SessionID]bool{}
	for _, l := range live {
		alive[l.ID] = true
	}
	var open []SessionView
	c.cfg.Replica.View(func(s *State) { open = s.Sessions() })
	for _, o := range open {
		if alive[o.ID] || o.ID > SessionID(at) {
			continue
		}
		out, err := c.cfg.Submitter.Submit(ctx, []Command{CloseSession{o.ID}}, &Guard{SessionGone: o.ID})
		if err != nil {
			return err
		}
		c.cfg.Logger.Info("closed a dead session", "broker", o.Broker, "session", o.ID, "outcome", out.Code)
	}
	return nil
}
