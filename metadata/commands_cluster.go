package metadata

// roleState is the newest claim of a group slot's role.
type roleState struct {
	epoch  RoleEpoch
	holder SessionID
}

// RoleHolder returns the session whose claim of a role was applied last, and its
// epoch; false where there was no claim or the session is gone.
func (s *State) RoleHolder(role string) (SessionID, RoleEpoch, bool) {
	d, ok := s.roles[role]
	if !ok || s.sessions[d.holder] == nil {
		return 0, d.epoch, false
	}
	return d.holder, d.epoch, true
}

// ClaimRole begins the work of a role whose epoch the state keeps (a group slot).
// Its entry is guarded by the role's key. Commands of an older epoch are refused.
type ClaimRole struct {
	Role  string
	Epoch RoleEpoch
}

// Kind implements Command.
func (ClaimRole) Kind() CommandKind { return 4 }

func (c ClaimRole) encode(w *writer) {
	w.text(c.Role)
	w.u64(uint64(c.Epoch))
}

func decodeClaimRole(r *reader) Command { return ClaimRole{r.Text(), RoleEpoch(r.Uint64())} }

func (c ClaimRole) apply(s *State, e *Entry) CommandOutcome {
	if d := s.roles[c.Role]; c.Epoch <= d.epoch {
		return refuse(CodeStaleRole, "epoch %d, now %d", c.Epoch, d.epoch)
	}
	if _, slot := parseGroupSlotRole(c.Role); !slot {
		return refuse(CodeInvalidRequest, "role %q has no epoch", c.Role)
	}
	s.roles[c.Role] = roleState{c.Epoch, e.Session}
	return CommandOutcome{}
}

// RaiseLevel raises the feature level by one; refused unless every open session
// supports the new one. It converts nothing: what a level changes is changed when
// it is written next, and the next checkpoint is full (Checkpointer.Encode).
type RaiseLevel struct{ To FeatureLevel }

// Kind implements Command.
func (RaiseLevel) Kind() CommandKind { return 7 }

func (c RaiseLevel) encode(w *writer) { w.u16(uint16(c.To)) }

func decodeRaiseLevel(r *reader) Command { return RaiseLevel{FeatureLevel(r.Uint16())} }

func (c RaiseLevel) apply(s *State, _ *Entry) CommandOutcome {
	if c.To != s.level+1 {
		return refuse(CodeLevel, "from level %d to %d", s.level, c.To)
	}
	for _, id := range sortedKeys(s.sessions) {
		if o := s.sessions[id]; o.open.MaxLevel < c.To {
			return refuse(CodeLevel, "broker %d (version %s) understands levels up to %d, not %d", o.broker, o.open.Version, o.open.MaxLevel, c.To)
		}
	}
	s.level = c.To
	return CommandOutcome{}
}

// Jumps of a recovery: more than any lost tail can have assigned.
const (
	recoveryProducerJump ProducerID  = 1 << 32
	recoveryEpochJump    LeaderEpoch = 1 << 10
	recoveryOffsetJump   Offset      = 1 << 30
)

// RecoverCluster is the first entry after a recovery into an empty etcd. It
// closes every earlier session, and moves producer ids and leader epochs past all
// that the lost tail may have assigned.
type RecoverCluster struct {
	Incarnation Incarnation
	// DiscardLost: nobody will look for records of the lost tail. Objects of former
	// incarnations that the state does not name are deleted at once, and not kept for
	// FormerIncarnationGrace.
	DiscardLost bool
}

// Kind implements Command.
func (RecoverCluster) Kind() CommandKind { return 19 }

func (c RecoverCluster) encode(w *writer) {
	w.u32(uint32(c.Incarnation))
	w.flag(c.DiscardLost)
}

func decodeRecoverCluster(r *reader) Command {
	return RecoverCluster{Incarnation(r.Uint32()), r.Flag()}
}

// apply closes every session but the one that recovers, and advances producer
// ids, leader epochs and offsets, so that nothing that the lost tail acknowledged
// is assigned a second time.
func (c RecoverCluster) apply(s *State, e *Entry) CommandOutcome {
	by := e.Session
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
	s.addFormerIncarnations(c)
	var all []TopicPartition
	s.partitions.each(func(tp TopicPartition, _ *partitionState) bool { all = append(all, tp); return true })
	for _, tp := range all {
		s.partitions.edit(tp, func(p *partitionState) {
			s.jumpLeaderEpoch(tp, p, recoveryEpochJump)
			p.next += recoveryOffsetJump - 1
		})
		s.appendMarker(tp, Span{Count: 1, Length: MarkerSize, Object: MarkerRecovery, Revision: s.revision,
			Position: int64(NoProducer), Epoch: -1, MaxTimestamp: s.entryTime()})
	}
	s.epochs = leaderEpochs{changes: s.epochs.changes, done: s.epochs.changes} // every row has all of them
	s.abortTxnsOfLostTail()                                                    // its markers take offsets that the tail cannot have assigned
	return CommandOutcome{}
}

// RecordStateHash makes every broker publish its state's hash at this entry's revision; the
// holder of the checkpoint role writes the state as of this revision.
type RecordStateHash struct{}

// Kind implements Command.
func (RecordStateHash) Kind() CommandKind { return 20 }

func (RecordStateHash) encode(*writer) {}

func decodeMark(*reader) Command { return RecordStateHash{} }

// apply changes nothing: the replica takes the hash and the snapshot.
func (RecordStateHash) apply(*State, *Entry) CommandOutcome { return CommandOutcome{} }

// Pressure sets how full the log's store is, so that all brokers hold back alike.
// The holder of the archive role writes it when it changes.
type Pressure struct{ Level PressureLevel }

// Kind implements Command.
func (Pressure) Kind() CommandKind { return 21 }

func (c Pressure) encode(w *writer) { w.u8(uint8(c.Level)) }

func decodePressure(r *reader) Command {
	return Pressure{PressureLevel(r.UvarintUpTo(uint64(PressureNoAppends), "pressure"))}
}

func (c Pressure) apply(s *State, _ *Entry) CommandOutcome {
	s.pressure = c.Level
	return CommandOutcome{}
}

// PressureLevel is how far a full store restricts brokers.
type PressureLevel uint8

// The levels.
const (
	PressureNone      PressureLevel = iota
	PressureNoInline                // above 40 % of the quota: record bytes go to objects
	PressureNoAppends               // above 60 %: no data; sessions, ticks and archives go on
)
