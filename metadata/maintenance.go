package metadata

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// Submitter commits commands on the control lane (wal.WAL).
type Submitter interface {
	Submit(ctx context.Context, cmds []Command, guard *Guard) (Outcome, error)
}

// MaintenanceConfig is what the maintenance of one session needs.
type MaintenanceConfig struct {
	Log       Log
	Admin     LogAdmin
	Store     Store
	Replica   *Replica
	Submitter Submitter
	Session   Session
	Broker    BrokerID
	Logger    *slog.Logger
	Rand      *rand.Rand // for the phases of the loops only
	Health    func(StoreHealth)
	Times     MaintenanceTimes
	Clock     Clock
}

// MaintenanceTimes are the intervals of the log's maintenance.
type MaintenanceTimes struct {
	Publish    time.Duration // how often the session's key is rewritten
	Tick       time.Duration // how often state time moves
	Archive    time.Duration // how often an extent is closed
	Checkpoint time.Duration // how often the state is written
	Sweep      time.Duration // how often dead sessions are searched for
	Retention  time.Duration // how often expired records are deleted
	// RetentionCheck is how long after their commit records are checked for their age
	// (log.retention.check.interval.ms): those with old timestamps stay as long.
	RetentionCheck time.Duration
	Base           time.Duration // how often a checkpoint is read back to be a recovery base
	Garbage        time.Duration // how often dead objects are deleted
	Inline         time.Duration // how often inline bytes are moved out of old archives
	// InlineAge is how long inline bytes stay in their archive.
	InlineAge time.Duration
	// Grace is how long a dead object stays in the bucket: longer than the longest
	// read with its retries.
	Grace time.Duration
	// LeftoverGrace is how long after a session's end its leftovers are searched for.
	LeftoverGrace time.Duration
	// ArchiveEntries and ArchiveInline close an extent sooner.
	ArchiveEntries uint64
	ArchiveInline  int64
	// ReleaseItems is how many items one entry releases of what was trimmed or
	// deleted. 0: MaxReleaseItems, which is also the most.
	ReleaseItems int
}

// DefaultMaintenanceTimes returns the design's intervals.
func DefaultMaintenanceTimes() MaintenanceTimes {
	return MaintenanceTimes{Publish: 2 * time.Second, Tick: 5 * time.Second, Archive: 10 * time.Second,
		Checkpoint: 30 * time.Second, Sweep: 2 * time.Second, Retention: time.Second, RetentionCheck: 5 * time.Minute, Base: 2 * time.Minute, Inline: time.Minute, InlineAge: time.Hour,
		Garbage: 10 * time.Second, Grace: 10 * time.Minute, LeftoverGrace: time.Duration(LeftoverGrace) * time.Millisecond, ArchiveEntries: 20_000, ArchiveInline: 24 << 20}
}

// The roles of the log's own maintenance.
const (
	RoleArchive    = "archive"
	RoleCheckpoint = "checkpoint"
	RoleTick       = "tick"
	RoleSweep      = "sweep"
	RoleRetention  = "retention"
	RoleInline     = "inline"
)

// RoleTask is work that one broker at a time does for the whole cluster: the one
// that holds the role Name, a key in etcd that ends with its session.
//
// To add a role, write Run in the package that the work belongs to, and add a
// RoleTask to the list that internal/node hands to Maintenance.Run; metadata does
// not import that package. Run has to keep these rules:
//   - The role may be lost at any point. Every write is guarded by it: pass the
//     Role to LogAdmin, or its name and epoch in the Guard of a Submit.
//   - The holder may die at any point. The next one begins with whatever is there;
//     before its first call the state has everything that its predecessor wrote.
//   - Run returns soon after ctx ends. The next call comes Interval after it returns.
type RoleTask struct {
	Name     string        // unique in the list; 1 to 128 of [A-Za-z0-9._:-]
	Interval time.Duration // between two calls, and between two tries to take the role; more than 0
	// Run does the work once. An error is logged, and the next call comes as
	// usual; ErrCorrupt, ErrOlderLog and ErrNewerIncarnation stop the broker.
	Run func(ctx context.Context, role Role) error
}

// Maintenance does one session's share of the log's maintenance: it publishes the
// session's status, and runs role tasks while this session holds their roles.
type Maintenance struct {
	cfg          MaintenanceConfig
	checkpointer Checkpointer
	retention    retentionPass
	jobs         jobTable
	lastBase     time.Time    // when this session made a checkpoint a recovery base
	clocks       clockMarks   // written by publishStatus, read by advanceTime
	lastTick     observedTime // of advanceTime

	lastClose           time.Time
	lastCompaction      time.Time
	checkpointedEntries uint64         // entries in the last checkpoint
	archiveRefusals     map[Extent]int // refused by apply
	archivesNamed       int            // used by this session
	inlinesNamed        int            // the same
	damagedMoves        int            // archives that were read damaged, one after the other
}

// NewMaintenance returns the maintenance of a session.
func NewMaintenance(cfg MaintenanceConfig) *Maintenance {
	return &Maintenance{cfg: cfg, archiveRefusals: map[Extent]int{}}
}

// Tasks returns the log's own role tasks: state time, the sessions of dead brokers,
// archives, checkpoints, retention. Every cluster needs them all.
func (c *Maintenance) Tasks() []RoleTask {
	t := c.cfg.Times
	return []RoleTask{
		{RoleTick, t.Tick, c.advanceTime},
		{RoleSweep, t.Sweep, c.closeDeadSessions},
		{RoleArchive, min(t.Archive/4, time.Second), c.maintainArchives},
		{RoleCheckpoint, t.Checkpoint, c.maintainCheckpoints},
		{RoleRetention, t.Retention, c.enforceRetention},
		{RoleInline, t.Inline, c.moveInline},
	}
}

// Run publishes the session's status and runs the tasks, each in a goroutine of
// its own, until ctx ends or the session is lost. It returns an error where this
// broker must stop serving.
func (c *Maintenance) Run(ctx context.Context, tasks []RoleTask) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	start := func(interval time.Duration, do func(context.Context) error) {
		phase := time.Duration(c.cfg.Rand.Int64N(int64(interval)))
		wg.Go(func() {
			if err := c.repeat(ctx, interval, phase, do); err != nil {
				cancel(err)
			}
		})
	}
	start(c.cfg.Times.Publish, c.publishStatus)
	for _, t := range tasks {
		start(t.Interval, c.whileHoldingRole(t))
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

// repeat calls do at the interval, first after a phase of its own. Only errors
// that this broker must not survive end it.
func (c *Maintenance) repeat(ctx context.Context, interval, phase time.Duration, do func(context.Context) error) error {
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
		timer.Reset(interval)
	}
}

// whileHoldingRole returns a function that runs the task if this session holds or
// can take its role. A new holder first applies what its predecessor may have
// written.
func (c *Maintenance) whileHoldingRole(t RoleTask) func(context.Context) error {
	var seen RoleEpoch
	return func(ctx context.Context) error {
		role, held, err := c.cfg.Log.TryRole(ctx, c.cfg.Session.ID(), t.Name)
		if err != nil || !held {
			c.jobs.release(t.Name)
			return err
		}
		c.jobs.hold(t.Name)
		if role.Epoch != seen {
			if err := c.cfg.Replica.Barrier(ctx); err != nil {
				return err
			}
			seen = role.Epoch
		}
		if err := t.Run(ctx, role); err != nil {
			return err
		}
		c.jobs.succeed(t.Name)
		return nil
	}
}

// publishStatus rewrites the session's key, and compares this state's hash with
// the newest checkpoint's.
func (c *Maintenance) publishStatus(ctx context.Context) error {
	mark, _, _ := c.cfg.Replica.Marks(0)
	status := SessionStatus{Broker: c.cfg.Broker, Applied: c.cfg.Replica.Applied(), HashRevision: mark.Revision, Hash: mark.Hash}
	status.Clock = c.cfg.Clock.Now() // read after Applied: clockMarks depends on it
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

// maxTimedOutTxns is how many transactions one tick aborts at most: with the
// longest ids they fit into an entry.
const maxTimedOutTxns = 100

// advanceTime moves state time to this broker's clock. The clock is read after
// every call that may block, so that a pause of the log does not make a correct
// clock look off.
func (c *Maintenance) advanceTime(ctx context.Context, role Role) error {
	live, _, err := c.cfg.Admin.Sessions(ctx)
	if err != nil {
		return err
	}
	now, to := time.Now(), c.cfg.Clock.Now()
	if by := c.clocks.measureSkew(live, c.cfg.Session.ID(), now, to); by > maxClockSkew || by < -maxClockSkew {
		c.cfg.Logger.Error("this broker's clock is off: it releases the tick role to another broker; synchronize the clock (NTP)",
			"clock", time.UnixMilli(int64(to)).UTC(), "ahead_by_at_least", time.Duration(by)*time.Millisecond)
		return c.cfg.Admin.ReleaseRole(ctx, role)
	}
	var at UnixMilli
	var late []AbortTxn
	c.cfg.Replica.View(func(s *State) { at, late = s.time, s.TimedOutTxns(maxTimedOutTxns) })
	if at != 0 {
		to = min(to, at+MaxTickStep, c.confirmTime(live, at, now))
	}
	if to <= at {
		return nil
	}
	cmds := []Command{Tick{to}}
	for _, txn := range late {
		cmds = append(cmds, txn)
	}
	if _, err = c.cfg.Submitter.Submit(ctx, cmds, &Guard{Role: role.Name, RoleEpoch: role.Epoch}); err == nil {
		c.lastTick = observedTime{to, now}
	}
	return err
}

// observedTime is a state time, and when this broker first knew that it had come.
type observedTime struct {
	stateTime UnixMilli
	at        time.Time
}

// confirmTime returns the latest time that is more than this broker's word: state
// time moved on by what passed here on the monotonic clock since, or the newest
// clock that another live session published. A broker whose clock was set wrong
// cannot move state time ahead before the others have shown that it is off. A
// session alone is believed: there is nobody else to ask.
func (c *Maintenance) confirmTime(live []LiveSession, stateTime UnixMilli, now time.Time) UnixMilli {
	if c.lastTick.stateTime != stateTime {
		c.lastTick = observedTime{stateTime, now}
	}
	confirmed := stateTime + UnixMilli(now.Sub(c.lastTick.at).Milliseconds())
	others := 0
	for _, l := range live {
		if l.ID != c.cfg.Session.ID() {
			others++
			confirmed = max(confirmed, l.Status.Clock)
		}
	}
	if others == 0 {
		return math.MaxInt64
	}
	return confirmed
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
