package metadata

// command writes kind, length and body, so that a reader that does not know a
// kind can say so and name it.
func (w *writer) command(c Command) {
	var body writer
	switch c := c.(type) {
	case OpenSession:
		body.openSession(c)
	case ClosedSession:
		body.u64(uint64(c.Session))
	case DrainSession, Mark:
	case Claim:
		body.text(c.Role)
		body.u64(uint64(c.Epoch))
	case Tick:
		body.u64(uint64(c.To))
	case Archived:
		body.archived(c)
	case RaiseLevel:
		body.u16(uint16(c.To))
	case CreateTopic:
		body.raw(c.ID[:])
		body.text(c.Name)
		body.uv(uint64(uint32(c.Partitions)))
		body.u16(uint16(c.ReplicationFactor))
		body.texts(c.Configs)
	case DeleteTopic:
		body.raw(c.ID[:])
	case CreatePartitions:
		body.raw(c.ID[:])
		body.uv(uint64(uint32(c.Count)))
	case SetConfigs:
		body.u8(uint8(c.Resource))
		body.text(c.Name)
		body.texts(c.Set)
		body.list(c.Delete)
	case TrimPartition:
		body.raw(c.Topic[:])
		body.uv(uint64(uint32(c.Partition)))
		body.u64(uint64(c.LogStart))
	case AllocateProducers:
		body.uv(uint64(uint32(c.Count)))
	case CommitOffsets:
		body.commitOffsets(c)
	case PutGroup:
		body.u64(uint64(c.Epoch))
		body.group(&c.Group)
	case DeleteGroup:
		body.u64(uint64(c.Epoch))
		body.text(c.Name)
	case DeleteOffsets:
		body.text(c.Group)
		body.u64(uint64(c.Epoch))
		body.places(c.Partitions)
	case PutMember:
		body.putMember(c)
	case RemoveMembers:
		body.removeMembers(c)
	case SetAssigned:
		body.setAssigned(c)
	case SetTargets:
		body.setTargets(c)
	case ExpireOffsets:
		body.expireOffsets(c)
	case Usage:
		body.uv(c.Seq)
		body.u64(uint64(c.From))
		body.u64(uint64(c.To))
		body.cells(c.Cells)
		body.flag(c.Final)
	case Recovered:
		body.u32(uint32(c.Incarnation))
	case Pressure:
		body.u8(uint8(c.Level))
	case InitTxn:
		body.initTxn(c)
	case AddToTxn:
		body.addToTxn(c)
	case TxnOffsets:
		body.txnOffsets(c)
	case EndTxn:
		body.endTxn(c)
	case AbortTxn:
		body.abortTxn(c)
	}
	w.u8(uint8(c.Kind()))
	w.blob(body.b)
}

func (r *reader) command() Command {
	kind := CommandKind(r.u8())
	body := reader{b: r.take(r.count(1, "command"))}
	if r.err != nil {
		return nil
	}
	c := body.commandBody(kind)
	if err := body.end(); err != nil {
		r.fail("command of kind %d: %v", kind, err)
		return nil
	}
	return c
}

func (r *reader) commandBody(kind CommandKind) Command {
	switch kind {
	case KindOpenSession:
		return r.openSession()
	case KindClosedSession:
		return ClosedSession{SessionID(r.u64())}
	case KindDrainSession:
		return DrainSession{}
	case KindMark:
		return Mark{}
	case KindClaim:
		return Claim{r.text(), RoleEpoch(r.u64())}
	case KindTick:
		return Tick{UnixMilli(r.u64())}
	case KindArchived:
		return r.archived()
	case KindRaiseLevel:
		return RaiseLevel{FeatureLevel(r.u16())}
	case KindCreateTopic:
		return CreateTopic{r.topic(), r.text(), int32(r.upTo(1<<31-1, "partitions")), int16(r.u16()), r.texts()}
	case KindDeleteTopic:
		return DeleteTopic{r.topic()}
	case KindCreatePartitions:
		return CreatePartitions{r.topic(), int32(r.upTo(1<<31-1, "partitions"))}
	case KindSetConfigs:
		return SetConfigs{ResourceKind(r.u8()), r.text(), r.texts(), r.list()}
	case KindTrimPartition:
		return TrimPartition{r.topic(), Partition(r.upTo(1<<31-1, "partition")), Offset(r.u64())}
	case KindAllocateProducers:
		return AllocateProducers{int32(r.upTo(1<<20, "producer ids"))}
	case KindCommitOffsets:
		return r.commitOffsets()
	case KindPutGroup:
		return PutGroup{RoleEpoch(r.u64()), r.group()}
	case KindDeleteGroup:
		return DeleteGroup{RoleEpoch(r.u64()), r.text()}
	case KindDeleteOffsets:
		return DeleteOffsets{r.text(), RoleEpoch(r.u64()), r.places()}
	case KindPutMember:
		return r.putMember()
	case KindRemoveMembers:
		return r.removeMembers()
	case KindSetAssigned:
		return r.setAssigned()
	case KindSetTargets:
		return r.setTargets()
	case KindExpireOffsets:
		return r.expireOffsets()
	case KindUsage:
		return Usage{r.uv(), UnixMilli(r.u64()), UnixMilli(r.u64()), r.cells(), r.flag()}
	case KindRecovered:
		return Recovered{Incarnation(r.u32())}
	case KindPressure:
		return Pressure{PressureLevel(r.upTo(uint64(PressureNoAppends), "pressure"))}
	case KindInitTxn:
		return r.initTxn()
	case KindAddToTxn:
		return r.addToTxn()
	case KindTxnOffsets:
		return r.txnOffsets()
	case KindEndTxn:
		return r.endTxn()
	case KindAbortTxn:
		return r.abortTxn()
	}
	r.fail("unknown command kind %d", kind)
	return nil
}

func (w *writer) list(s []string) {
	w.uv(uint64(len(s)))
	for _, t := range s {
		w.text(t)
	}
}

func (r *reader) list() (out []string) {
	for range r.count(1, "list") {
		out = append(out, r.text())
	}
	return out
}

func (w *writer) openSession(c OpenSession) {
	w.u32(uint32(c.Want))
	w.text(string(c.Zone))
	w.text(c.Kafka.Host)
	w.u32(uint32(c.Kafka.Port))
	w.uv(uint64(len(c.ZonePorts)))
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

func (r *reader) openSession() OpenSession {
	c := OpenSession{Want: BrokerID(r.u32()), Zone: ZoneID(r.text()), Kafka: Address{r.text(), int32(r.u32())}}
	for range r.count(4, "zone ports") {
		c.ZonePorts = append(c.ZonePorts, int32(r.u32()))
	}
	c.Peer, c.HTTP, c.Version = r.text(), r.text(), r.text()
	c.MinLevel, c.MaxLevel = FeatureLevel(r.u16()), FeatureLevel(r.u16())
	copy(c.Cluster[:], r.take(len(c.Cluster)))
	return c
}

func (w *writer) archived(c Archived) {
	w.u64(uint64(c.Extent))
	w.text(c.Object)
	w.u64(uint64(c.First))
	w.u64(uint64(c.Last))
	w.uv(c.Entries)
	w.uv(uint64(c.Bytes))
	w.raw(c.Digest[:])
}

func (r *reader) archived() Archived {
	c := Archived{Extent: Extent(r.u64()), Object: r.text(), First: Revision(r.u64()), Last: Revision(r.u64()),
		Entries: r.uv(), Bytes: int64(r.upTo(1<<50, "bytes"))}
	copy(c.Digest[:], r.take(len(c.Digest)))
	return c
}

func (w *writer) commitOffsets(c CommitOffsets) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.offsets(c.Offsets)
}

func (r *reader) commitOffsets() CommitOffsets {
	return CommitOffsets{r.text(), RoleEpoch(r.u64()), r.offsets()}
}

func (w *writer) offsets(list []OffsetCommit) {
	w.uv(uint64(len(list)))
	for i := range list {
		o := &list[i]
		w.raw(o.Topic[:])
		w.uv(uint64(uint32(o.Partition)))
		w.sv(int64(o.Offset))
		w.sv(int64(o.LeaderEpoch))
		w.text(o.Metadata)
		w.u64(uint64(o.Time))
	}
}

func (r *reader) offsets() (out []OffsetCommit) {
	n := r.count(28, "offsets")
	if n > 0 {
		out = make([]OffsetCommit, 0, n)
	}
	for range n {
		out = append(out, OffsetCommit{r.topic(), Partition(r.upTo(1<<31-1, "partition")), Offset(r.sv()),
			LeaderEpoch(r.sv()), r.text(), UnixMilli(r.u64())})
	}
	return out
}

func (w *writer) group(g *Group) {
	w.text(g.Name)
	w.text(g.ProtocolType)
	w.text(g.Protocol)
	w.text(g.Leader)
	w.u32(uint32(g.Generation))
	w.uv(uint64(len(g.Members)))
	for i := range g.Members {
		m := &g.Members[i]
		w.text(m.ID)
		w.text(m.InstanceID)
		w.text(m.ClientID)
		w.text(m.ClientHost)
		w.u32(uint32(m.SessionTimeoutMs))
		w.u32(uint32(m.RebalanceTimeoutMs))
		w.protocols(m.Protocols)
		w.blob(m.Assignment)
	}
}

func (r *reader) group() Group {
	g := Group{Name: r.text(), ProtocolType: r.text(), Protocol: r.text(), Leader: r.text(), Generation: int32(r.u32())}
	for range r.count(14, "members") {
		m := GroupMember{ID: r.text(), InstanceID: r.text(), ClientID: r.text(), ClientHost: r.text(),
			SessionTimeoutMs: int32(r.u32()), RebalanceTimeoutMs: int32(r.u32())}
		m.Protocols = r.protocols()
		m.Assignment = r.blob()
		g.Members = append(g.Members, m)
	}
	return g
}

// cells interns the zones, principals and groups of a list of cells.
func (w *writer) cells(cells []Cell) {
	var names []string
	index := map[string]uint64{}
	id := func(s string) uint64 {
		i, ok := index[s]
		if !ok {
			i = uint64(len(names))
			index[s] = i
			names = append(names, s)
		}
		return i
	}
	var body writer
	for i := range cells {
		c := &cells[i]
		body.raw(c.Key.Topic[:])
		body.u8(uint8(c.Key.Component))
		body.uv(id(string(c.Key.Src)))
		body.uv(id(string(c.Key.Dst)))
		body.uv(id(c.Key.Principal))
		body.uv(id(c.Key.Group))
		body.uv(c.Quantity.Hi)
		body.uv(c.Quantity.Lo)
	}
	w.list(names)
	w.uv(uint64(len(cells)))
	w.raw(body.b)
}

func (r *reader) cells() (out []Cell) {
	names := r.list()
	name := func() string {
		i := r.uv()
		if i >= uint64(len(names)) {
			r.fail("name %d of %d", i, len(names))
			return ""
		}
		return names[i]
	}
	n := r.count(23, "cells")
	if n > 0 {
		out = make([]Cell, 0, n)
	}
	for range n {
		c := Cell{Key: CellKey{Topic: r.topic(), Component: Component(r.u8())}}
		c.Key.Src, c.Key.Dst = ZoneID(name()), ZoneID(name())
		c.Key.Principal, c.Key.Group = name(), name()
		c.Quantity = Quantity{r.uv(), r.uv()}
		if r.err == nil && !c.Key.Component.Valid() {
			r.fail("component %d", c.Key.Component)
		}
		out = append(out, c)
	}
	return out
}
