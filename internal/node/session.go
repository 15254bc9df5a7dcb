package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// session is one run in the log: its WAL, maintenance, group slots and usage
// reports.
type session struct {
	n        *Node
	log      metadata.Session
	wal      *wal.WAL
	broker   metadata.BrokerID
	usage    *usageReporter
	slots    *groups.SlotKeeper
	ctx      context.Context    // of maintenance, slots and usage
	cancel   context.CancelFunc // ends ctx
	wg       sync.WaitGroup
	finished chan struct{} // closed by endAfterDrain
	once     sync.Once
}

// Pauses between attempts to open a session.
const (
	reopenPause  = 100 * time.Millisecond
	idTakenPause = time.Second // the session that has the broker id may exist until its lease ends
)

// runSessions opens one session after the other.
func (n *Node) runSessions() {
	for first := true; n.ctx.Err() == nil; first = false {
		err := n.runSession(first)
		switch {
		case n.ctx.Err() != nil || n.draining.Load():
			return
		case errors.Is(err, metadata.ErrOlderLog) || errors.Is(err, metadata.ErrNewerIncarnation):
			n.stopServing(err)
			return
		case errors.Is(err, metadata.CodeLevel): // another try would be refused like this one
			n.stopServing(err)
			return
		case errors.Is(err, metadata.ErrSessionLost):
			n.cfg.Logger.Warn("session lost: its lease was not renewed in time; uncommitted requests failed with a retriable error; a new session opens when the log is available")
		case err != nil:
			metadata.LogFailure(n.cfg.Logger, "session", err)
		}
		pause := reopenPause
		if errors.Is(err, metadata.CodeBrokerIDTaken) {
			pause = idTakenPause
		}
		select {
		case <-time.After(pause):
		case <-n.ctx.Done():
		}
	}
}

// runSession is a session from its opening to its end.
func (n *Node) runSession(first bool) error {
	if err := n.catchUp(); err != nil {
		return err
	}
	s, err := n.openSession()
	if err != nil {
		return err
	}
	n.currentSession.Store(s)
	n.writer.setWAL(s.wal)
	if first {
		n.cfg.Logger.Warn("compaction settings are stored and reported but not enforced yet: topics with cleanup.policy=compact keep everything")
	}
	n.cfg.Logger.Info("serving", "broker", s.broker, "zone", n.cfg.Zone, "session", s.log.ID())
	cause := s.runRoles()
	n.writer.setWAL(nil)
	n.currentSession.Store(nil)
	s.close()
	return cause
}

// catchUp waits until this broker has applied what exists now, so that the
// outcomes of its earlier session are known.
func (n *Node) catchUp() error {
	for !n.replica.CaughtUp() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-n.ctx.Done():
			return n.ctx.Err()
		}
	}
	return n.replica.Barrier(n.ctx)
}

func (n *Node) openSession() (*session, error) {
	nonce := fmt.Sprintf("%016x", n.cfg.Rand.Uint64())
	log, err := n.cfg.Log.OpenSession(n.ctx, metadata.SessionInfo{Nonce: nonce, Zone: n.cfg.Zone, Peer: n.cfg.Peer, Settings: n.cfg.Settings})
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	n.governor.SettleAll()
	s := &session{n: n, log: log, finished: make(chan struct{})}
	former := n.formerSessions()
	s.ctx, s.cancel = context.WithCancel(n.ctx)
	if s.wal, err = wal.Open(n.walConfig(log.ID())); err != nil {
		return nil, errors.Join(fmt.Errorf("open wal: %w", err), s.closeLogSession())
	}
	out, err := s.wal.Submit(n.ctx, n.openCommands(), nil)
	if err == nil && out.Code != metadata.CodeOK {
		err = fmt.Errorf("%w: %s", out.Code, out.Text)
	}
	if err == nil && out.Commands[0].Code != metadata.CodeOK {
		err = fmt.Errorf("%w: %s", out.Commands[0].Code, out.Commands[0].Text)
	}
	if err != nil {
		s.wal.Close(n.ctx)
		return nil, errors.Join(fmt.Errorf("open session: %w", err), s.closeLogSession())
	}
	s.broker = metadata.BrokerID(out.Commands[0].Value)
	s.usage = newUsageReporter(n, s)
	s.slots = groups.NewSlotKeeper(groups.KeeperConfig{Roles: n.cfg.Log, Session: s.log, Coordinator: n.groups, Writer: s.wal, Replica: n.replica,
		Begin: n.cfg.GroupsFrom, Rand: n.newRand(), Log: n.cfg.Logger})
	n.endSessions(former)
	return s, nil
}

// formerSessions returns the sessions of this broker's earlier runs, by its
// address: they end when the next one opens.
func (n *Node) formerSessions() (ids []metadata.SessionID) {
	n.replica.View(func(s *metadata.State) {
		for _, o := range s.Sessions() {
			if o.Open.Kafka == n.cfg.Kafka {
				ids = append(ids, o.ID)
			}
		}
	})
	return ids
}

// endSessions deletes what earlier runs have left in the log. After a crash their
// leases would keep their group slots and roles for seconds, although their work
// is not done.
func (n *Node) endSessions(ids []metadata.SessionID) {
	for _, id := range ids {
		ctx, cancel := context.WithTimeout(n.ctx, closeTimeout)
		err := n.cfg.Log.EndSession(ctx, id)
		cancel()
		if err != nil {
			n.cfg.Logger.Warn("could not end this broker's previous session: its roles become free when its lease expires", "session", id, "err", err)
		}
	}
}

// openCommands opens the session; the first one of a cluster also starts state
// time, so that nothing is booked before it began.
func (n *Node) openCommands() []metadata.Command {
	var at metadata.UnixMilli
	var cluster metadata.ClusterID
	n.replica.View(func(s *metadata.State) { at, cluster = s.Time(), s.ClusterID() })
	open := metadata.OpenSession{Want: n.cfg.WantBrokerID, Zone: n.cfg.Zone, Kafka: n.cfg.Kafka, ZonePorts: n.cfg.ZonePorts, Peer: n.cfg.Peer,
		HTTP: n.cfg.HTTP, Version: n.cfg.Version, MinLevel: metadata.MinFeatureLevel, MaxLevel: metadata.MaxFeatureLevel}
	if cluster.IsZero() {
		open.Cluster = n.newClusterID()
	}
	if at != 0 {
		return []metadata.Command{open}
	}
	return []metadata.Command{open, metadata.Tick{To: n.cfg.Clock.Now()}}
}

// newClusterID returns a random UUID that does not begin with a dash in Kafka's
// form, as tools would take it for an option (like Kafka's Uuid.randomUuid).
func (n *Node) newClusterID() (c metadata.ClusterID) {
	for c.IsZero() || c.String()[0] == '-' {
		binary.BigEndian.PutUint64(c[:], n.cfg.Rand.Uint64())
		binary.BigEndian.PutUint64(c[8:], n.cfg.Rand.Uint64())
		c[6], c[8] = c[6]&0x0f|0x40, c[8]&0x3f|0x80 // version 4 (RFC 9562)
	}
	return c
}

func (n *Node) walConfig(id metadata.SessionID) wal.Config {
	c := wal.Config{Session: id, Log: n.cfg.Log, Replica: n.replica, Uploader: n.store, Governor: n.governor, Route: n.cfg.Route,
		Rand: n.newRand(), Clock: n.cfg.Clock, Logger: n.cfg.Logger, Linger: n.cfg.Linger, BudgetBytes: n.cfg.WALBytes, InlineLimit: n.cfg.InlineLimit}
	c.SetHooks(n.cfg.hooks)
	n.observeWAL(&c)
	return c
}

// runRoles runs the session until it is lost, finished, or the node ends.
func (s *session) runRoles() (cause error) {
	n, ctx := s.n, s.ctx
	maintenance := metadata.NewMaintenance(metadata.MaintenanceConfig{Log: n.cfg.Log, Admin: n.cfg.Log, Store: n.replica.Store(), Replica: n.replica,
		Submitter: s.wal, Session: s.log, Broker: s.broker, Logger: n.cfg.Logger, Rand: n.newRand(), Times: n.cfg.Times, Clock: n.cfg.Clock,
		Health: func(h metadata.StoreHealth) { n.health.Store(&h) }})
	n.jobs.Store(maintenance)
	tasks := append(maintenance.Tasks(), s.newCollector(maintenance).Task(n.cfg.Times.Garbage)) // add the role tasks of other packages here (metadata.RoleTask)
	s.wg.Go(func() {
		if err := maintenance.Run(ctx, tasks); err != nil {
			n.stopServing(err)
		}
	})
	s.wg.Go(func() {
		if err := s.slots.Run(ctx); err != nil && !errors.Is(err, metadata.ErrSessionLost) {
			n.cfg.Logger.Warn("group slots", "err", err)
		}
	})
	s.wg.Go(func() { s.usage.run(ctx) })
	select {
	case <-s.log.Done():
		s.wal.MarkSessionLost()
		cause = metadata.ErrSessionLost
	case <-s.wal.Lost():
		cause = metadata.ErrSessionLost
	case <-s.finished:
	case <-n.ctx.Done():
	}
	s.cancel()
	s.wg.Wait()
	return cause
}

// endAfterDrain ends the session after a drain: it releases the slots, reports
// the last usage, and deletes the session's key.
func (s *session) endAfterDrain(ctx context.Context) {
	s.cancel()
	s.wg.Wait()
	s.usage.reportFinal(ctx)
	s.once.Do(func() { close(s.finished) })
}

// closeTimeout is how long the end of a session may take.
const closeTimeout = 3 * time.Second

func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.n.ctx), closeTimeout)
	defer cancel()
	if err := s.wal.Close(ctx); err != nil {
		s.n.cfg.Logger.Debug("close wal", "err", err)
	}
	// The next session reports them.
	s.n.platform.addRequests(metadata.CellKey{Topic: metadata.RowPlatform, Component: costkeys.ComponentPutPlatform}, s.wal.UnbookedPuts())
	if err := s.closeLogSession(); err != nil {
		s.n.cfg.Logger.Debug("close session", "err", err)
	}
}

func (s *session) closeLogSession() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.n.ctx), closeTimeout)
	defer cancel()
	return s.log.Close(ctx)
}
