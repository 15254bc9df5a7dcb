package metadata

import "slices"

// roleState is the newest claim of an epoch-bearing duty.
type roleState struct {
	epoch  RoleEpoch
	holder SessionID
}

// RoleHolder returns the session whose claim of a duty was applied last, and
// its epoch; false where nobody claimed it or the session is gone.
func (s *State) RoleHolder(duty string) (SessionID, RoleEpoch, bool) {
	d, ok := s.roles[duty]
	if !ok || s.sessions[d.holder] == nil {
		return 0, d.epoch, false
	}
	return d.holder, d.epoch, true
}

func isOpenSession(e *Entry) bool {
	if e.Lane != LaneControl || e.Seq != 1 || len(e.Commands) == 0 {
		return false
	}
	_, ok := e.Commands[0].(OpenSession)
	return ok
}

// admitSession makes the session of an open command known, before its entry
// is judged like any other of it.
func (s *State) admitSession(e *Entry) (Code, string) {
	open := e.Commands[0].(OpenSession)
	if open.MinLevel > s.level || open.MaxLevel < s.level {
		return CodeLevel, "the cluster's feature level is not one that this broker understands"
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
	s.updatePlacement() // nothing moves where it takes the place of a former life in the placement
	return CodeOK, ""
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

// maxTickLag is how far state time is behind, at most, where the tick role is
// held (MaintenanceTimes.Tick).
const maxTickLag UnixMilli = 5_000

// forgetSession ends a session; the caller sees to the placement.
func (s *State) forgetSession(o *sessionState) {
	// What it served since its last usage report is not known to the ledger.
	// State time is behind by up to a tick, and more is said rather than less.
	// One that ends before the cluster's first tick lived for about a tick.
	told := o.usageReportedTo > 0 || o.usageSeq == 0
	if end := s.time + maxTickLag; told && end > o.usageReportedTo {
		gap := int64(end - o.usageReportedTo)
		s.gapsMs += gap
		for _, b := range s.currentBuckets() {
			s.ensureBucket(b).gapsMs += gap
		}
	}
	delete(s.sessions, o.id)
	s.reserveBrokerID(o)
}

func (s *State) applyCloseSession(c CloseSession) CommandOutcome {
	if !s.closeSession(c.Session) {
		return CommandOutcome{Code: CodeUnknownSession}
	}
	return CommandOutcome{}
}

func (s *State) applyDrainSession(id SessionID) CommandOutcome {
	s.sessions[id].draining = true
	s.updatePlacement()
	return CommandOutcome{}
}

// updatePlacement makes a new placement of the sessions, remembers the one before, and
// raises the leader epoch of every partition whose hint moves in some zone.
func (s *State) updatePlacement() {
	old, now := s.placement, newPlacement(s.zones, s.Sessions())
	if now.hasSameLeaders(old) {
		return
	}
	s.placement = now
	s.rememberPlacement(old)
	if len(old.brokers) == 0 {
		return
	}
	zones := append([]ZoneID{UnknownZone}, s.zones...)
	var touched []TopicPartition
	s.partitions.each(func(tp TopicPartition, _ *partitionState) bool {
		for _, z := range zones {
			if was := old.Leader(tp, z); was != s.placement.Leader(tp, z) {
				touched = append(touched, tp)
				break
			}
		}
		return true
	})
	for _, tp := range touched {
		s.partitions.edit(tp, func(p *partitionState) { p.epoch++ })
	}
}

func (s *State) applyClaimRole(session SessionID, c ClaimRole) CommandOutcome {
	if d := s.roles[c.Role]; c.Epoch <= d.epoch {
		return refuse(CodeStaleRole, "epoch %d, now %d", c.Epoch, d.epoch)
	}
	if _, slot := parseGroupSlotRole(c.Role); !slot {
		return refuse(CodeInvalidRequest, "role %q has no epoch", c.Role)
	}
	s.roles[c.Role] = roleState{c.Epoch, session}
	return CommandOutcome{}
}

func (s *State) applyRaiseLevel(c RaiseLevel) CommandOutcome {
	if c.To != s.level+1 {
		return refuse(CodeLevel, "from level %d to %d", s.level, c.To)
	}
	for _, o := range s.sessions {
		if o.open.MaxLevel < c.To {
			return refuse(CodeLevel, "broker %d understands levels up to %d", o.broker, o.open.MaxLevel)
		}
	}
	s.level = c.To
	return CommandOutcome{}
}

// Jumps of a recovery: more than any lost tail can have given out.
const (
	recoveryProducerJump ProducerID  = 1 << 32
	recoveryEpochJump    LeaderEpoch = 1 << 10
	recoveryOffsetJump   Offset      = 1 << 30
)

// applyRecoverCluster closes every session but the one that recovers, and jumps
// producer ids, leader epochs and offsets, so that nothing that the lost tail
// acknowledged is given out a second time.
func (s *State) applyRecoverCluster(by SessionID, c RecoverCluster) CommandOutcome {
	if by.Incarnation() != c.Incarnation {
		return refuse(CodeInvalidRequest, "incarnation %d by a session of %d", c.Incarnation, by.Incarnation())
	}
	for _, id := range sortedKeys(s.sessions) {
		if id != by {
			s.closeSession(id)
		}
	}
	s.pastPlacements, s.pastPlacementsCut = nil, 0 // no former leader has anything that could still commit
	s.roles = map[string]roleState{}
	s.nextProducer += recoveryProducerJump
	s.recovered = s.revision
	var all []TopicPartition
	s.partitions.each(func(tp TopicPartition, _ *partitionState) bool { all = append(all, tp); return true })
	for _, tp := range all {
		s.partitions.edit(tp, func(p *partitionState) {
			p.epoch += recoveryEpochJump
			p.next += recoveryOffsetJump - 1
		})
		s.appendMarker(tp, Span{Count: 1, Length: MarkerSize, Object: MarkerRecovery, Revision: s.revision,
			Position: int64(NoProducer), Epoch: -1, MaxTimestamp: s.entryTime()})
	}
	s.abortTxnsOfLostTail() // its markers take offsets that the tail cannot have given out
	return CommandOutcome{}
}
