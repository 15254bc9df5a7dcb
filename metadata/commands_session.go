package metadata

import (
	"fmt"
	"slices"
)

// Address is where clients reach a session's broker.
type Address struct {
	Host string
	Port int32
}

// OpenSession adds a session to the state and assigns its broker id: the one in
// Want, or else one that is free (chooseBrokerID). It is the first command of its
// session's control lane. Outcome.Value is the broker id.
type OpenSession struct {
	Want  BrokerID // NoBroker: any
	Zone  ZoneID
	Kafka Address // the port for clients without a zone; zone k is at + 1 + k
	// ZonePorts, where not empty, gives this broker's port for clients of the
	// cluster's k-th zone instead of the rule above (zonewise dev).
	ZonePorts []int32
	Peer      string // host:port of the broker-to-broker listener
	HTTP      string // host:port of pages, API and metrics
	Version   string
	MinLevel  FeatureLevel
	MaxLevel  FeatureLevel
	// Cluster is a random id, used if the cluster has none yet: that of the first
	// session stays. Zero: none is offered.
	Cluster ClusterID
}

// Kind implements Command.
func (OpenSession) Kind() CommandKind { return 1 }

func (c OpenSession) encode(w *writer) {
	w.u32(uint32(c.Want))
	w.text(string(c.Zone))
	w.text(c.Kafka.Host)
	w.u32(uint32(c.Kafka.Port))
	w.uvarint(uint64(len(c.ZonePorts)))
	for _, p := range c.ZonePorts {
		w.u32(uint32(p))
	}
	w.text(c.Peer)
	w.text(c.HTTP)
	w.text(c.Version)
	w.u16(uint16(c.MinLevel))
	w.u16(uint16(c.MaxLevel))
	w.raw(c.Cluster[:])
}

func decodeOpenSession(r *reader) Command {
	c := OpenSession{Want: BrokerID(r.Uint32()), Zone: ZoneID(r.Text()), Kafka: Address{r.Text(), int32(r.Uint32())}}
	for range r.Count(4, "zone ports") {
		c.ZonePorts = append(c.ZonePorts, int32(r.Uint32()))
	}
	c.Peer, c.HTTP, c.Version = r.Text(), r.Text(), r.Text()
	c.MinLevel, c.MaxLevel = FeatureLevel(r.Uint16()), FeatureLevel(r.Uint16())
	copy(c.Cluster[:], r.Take(len(c.Cluster)))
	return c
}

// apply only reports the broker id: admitSession has opened the session already.
func (OpenSession) apply(s *State, e *Entry) CommandOutcome {
	return CommandOutcome{Value: int64(s.sessions[e.Session].broker)}
}

func isOpenSession(e *Entry) bool {
	if e.Lane != LaneControl || e.Seq != 1 || len(e.Commands) == 0 {
		return false
	}
	_, ok := e.Commands[0].(OpenSession)
	return ok
}

// admitSession adds the session of an open command to the state, before its entry
// is checked like any other of the session.
func (s *State) admitSession(e *Entry) (Code, string) {
	open := e.Commands[0].(OpenSession)
	if open.MinLevel > s.level || open.MaxLevel < s.level {
		return CodeLevel, s.describeLevelRefusal(&open)
	}
	if len(s.sessions) >= s.limits.Sessions {
		return CodeLimit, "too many sessions"
	}
	if open.Zone == UnknownZone {
		return CodeInvalidRequest, "the zone is empty"
	}
	if !slices.Contains(s.zones, open.Zone) && len(s.zones) >= MaxZones {
		return CodeLimit, "too many zones"
	}
	id, former, ok := s.chooseBrokerID(&open)
	if !ok {
		return CodeBrokerIDTaken, "another live session has this broker id"
	}
	if former != nil {
		s.forgetSession(former)
	}
	if s.cluster.IsZero() {
		s.cluster = open.Cluster
	}
	if !slices.Contains(s.zones, open.Zone) {
		s.zones = append(slices.Clip(s.zones), open.Zone)
	}
	s.sessions[e.Session] = &sessionState{id: e.Session, broker: id, open: open, usageReportedTo: s.time}
	s.updatePlacement() // no hint moves where it replaces an earlier session of its broker in the placement
	return CodeOK, ""
}

// describeLevelRefusal says why a session of a version that does not understand
// the cluster's level is not opened, and what to do.
func (s *State) describeLevelRefusal(open *OpenSession) string {
	text := fmt.Sprintf("the cluster is at feature level %d%s, this broker of version %s understands levels %d to %d: ",
		s.level, s.describeNewestSession(), open.Version, open.MinLevel, open.MaxLevel)
	if open.MaxLevel < s.level {
		return text + "start the cluster's version or a later one; earlier versions cannot be used once a level was raised"
	}
	return text + "start the cluster's version, raise the level with `zonewise features upgrade`, and then upgrade"
}

// describeNewestSession names a version that understands the cluster's level, in
// brackets; "" where no session is open.
func (s *State) describeNewestSession() string {
	ids := sortedKeys(s.sessions)
	if len(ids) == 0 {
		return ""
	}
	newest := s.sessions[ids[len(ids)-1]]
	return fmt.Sprintf(" (broker %d is of version %s)", newest.broker, newest.open.Version)
}

// CloseSession removes a session. Its entry is guarded by the absence of the
// session's key.
type CloseSession struct{ Session SessionID }

// Kind implements Command.
func (CloseSession) Kind() CommandKind { return 2 }

func (c CloseSession) encode(w *writer) { w.u64(uint64(c.Session)) }

func decodeCloseSession(r *reader) Command { return CloseSession{SessionID(r.Uint64())} }

func (c CloseSession) apply(s *State, _ *Entry) CommandOutcome {
	if !s.closeSession(c.Session) {
		return CommandOutcome{Code: CodeUnknownSession}
	}
	return CommandOutcome{}
}

func (s *State) closeSession(id SessionID) bool {
	o := s.sessions[id]
	if o == nil {
		return false
	}
	s.forgetSession(o)
	s.updatePlacement()
	return true
}

// maxTickLag is how far state time is behind the clock at most, while the tick
// role is held (MaintenanceTimes.Tick).
const maxTickLag UnixMilli = 5_000

// forgetSession removes a session; the caller updates the placement.
func (s *State) forgetSession(o *sessionState) {
	// The ledger does not have what it served since its last usage report. State
	// time is behind by up to a tick, and the gap is rounded up. A session that
	// ends before the cluster's first tick was open for about a tick.
	reported := o.usageReportedTo > 0 || o.usageSeq == 0
	if end := s.time + maxTickLag; reported && end > o.usageReportedTo {
		gap := int64(end - o.usageReportedTo)
		s.gapsMs += gap
		for _, b := range s.currentBuckets() {
			s.ensureBucket(b).gapsMs += gap
		}
	}
	delete(s.sessions, o.id)
	s.addLeftover(o.id)
	s.reserveBrokerID(o)
}

// DrainSession takes the session that writes it out of the placement.
type DrainSession struct{}

// Kind implements Command.
func (DrainSession) Kind() CommandKind { return 3 }

func (DrainSession) encode(*writer) {}

func decodeDrainSession(*reader) Command { return DrainSession{} }

func (DrainSession) apply(s *State, e *Entry) CommandOutcome {
	s.sessions[e.Session].draining = true
	s.updatePlacement()
	return CommandOutcome{}
}

// updatePlacement computes the placement of the open sessions and keeps the former
// one. The leader epochs of the partitions whose hint moves in some zone rise by
// what it records (leaderEpochs).
func (s *State) updatePlacement() {
	old, now := s.placement, newPlacement(s.zones, s.Sessions())
	if now.hasSameLeaders(old) {
		return
	}
	s.placement = now
	s.rememberPlacement(old)
	if len(old.brokers) > 0 {
		s.epochs.addChange(newPlacementChange(old, now))
	}
}
