package metadata

// writeCommand writes kind, length and body, so that a reader that does not know a
// kind can say so and name it.
func (w *writer) writeCommand(c Command) {
	var body writer
	switch c := c.(type) {
	case OpenSession:
		body.writeOpenSession(c)
	case CloseSession:
		body.u64(uint64(c.Session))
	case DrainSession, Mark:
	case ClaimRole:
		body.text(c.Role)
		body.u64(uint64(c.Epoch))
	case Tick:
		body.u64(uint64(c.To))
	case AcceptArchive:
		body.writeAcceptArchive(c)
	case RaiseLevel:
		body.u16(uint16(c.To))
	case CreateTopic:
		body.raw(c.ID[:])
		body.text(c.Name)
		body.uvarint(uint64(uint32(c.Partitions)))
		body.u16(uint16(c.ReplicationFactor))
		body.writeTextMap(c.Configs)
	case DeleteTopic:
		body.raw(c.ID[:])
	case CreatePartitions:
		body.raw(c.ID[:])
		body.uvarint(uint64(uint32(c.Count)))
	case SetConfigs:
		body.u8(uint8(c.Resource))
		body.text(c.Name)
		body.writeTextMap(c.Set)
		body.writeTextList(c.Delete)
	case TrimPartition:
		body.raw(c.Topic[:])
		body.uvarint(uint64(uint32(c.Partition)))
		body.u64(uint64(c.LogStart))
	case AllocateProducers:
		body.uvarint(uint64(uint32(c.Count)))
	case CommitOffsets:
		body.writeCommitOffsets(c)
	case PutGroup:
		body.u64(uint64(c.Epoch))
		body.writeGroup(&c.Group)
	case DeleteGroup:
		body.u64(uint64(c.Epoch))
		body.text(c.Name)
	case DeleteOffsets:
		body.text(c.Group)
		body.u64(uint64(c.Epoch))
		body.writeTopicPartitions(c.Partitions)
	case PutMember:
		body.writePutMember(c)
	case RemoveMembers:
		body.writeRemoveMembers(c)
	case SetAssignments:
		body.writeSetAssignments(c)
	case SetTargets:
		body.writeSetTargets(c)
	case ExpireOffsets:
		body.writeExpireOffsets(c)
	case Usage:
		body.uvarint(c.Seq)
		body.u64(uint64(c.From))
		body.u64(uint64(c.To))
		body.writeCells(c.Cells)
		body.flag(c.Final)
	case RecoverCluster:
		body.u32(uint32(c.Incarnation))
	case Pressure:
		body.u8(uint8(c.Level))
	case InitTxn:
		body.writeInitTxn(c)
	case AddToTxn:
		body.writeAddToTxn(c)
	case TxnOffsets:
		body.writeTxnOffsets(c)
	case EndTxn:
		body.writeEndTxn(c)
	case AbortTxn:
		body.writeAbortTxn(c)
	}
	w.u8(uint8(c.Kind()))
	w.blob(body.b)
}

func (r *reader) readCommand() Command {
	kind := CommandKind(r.u8())
	body := reader{b: r.take(r.readCount(1, "command"))}
	if r.err != nil {
		return nil
	}
	c := body.readCommandBody(kind)
	if err := body.expectEnd(); err != nil {
		r.fail("command of kind %d: %v", kind, err)
		return nil
	}
	return c
}

func (r *reader) readCommandBody(kind CommandKind) Command {
	switch kind {
	case KindOpenSession:
		return r.readOpenSession()
	case KindCloseSession:
		return CloseSession{SessionID(r.u64())}
	case KindDrainSession:
		return DrainSession{}
	case KindMark:
		return Mark{}
	case KindClaimRole:
		return ClaimRole{r.text(), RoleEpoch(r.u64())}
	case KindTick:
		return Tick{UnixMilli(r.u64())}
	case KindAcceptArchive:
		return r.readAcceptArchive()
	case KindRaiseLevel:
		return RaiseLevel{FeatureLevel(r.u16())}
	case KindCreateTopic:
		return CreateTopic{r.readTopicID(), r.text(), int32(r.uvarintUpTo(1<<31-1, "partitions")), int16(r.u16()), r.readTextMap()}
	case KindDeleteTopic:
		return DeleteTopic{r.readTopicID()}
	case KindCreatePartitions:
		return CreatePartitions{r.readTopicID(), int32(r.uvarintUpTo(1<<31-1, "partitions"))}
	case KindSetConfigs:
		return SetConfigs{ResourceKind(r.u8()), r.text(), r.readTextMap(), r.readTextList()}
	case KindTrimPartition:
		return TrimPartition{r.readTopicID(), Partition(r.uvarintUpTo(1<<31-1, "partition")), Offset(r.u64())}
	case KindAllocateProducers:
		return AllocateProducers{int32(r.uvarintUpTo(1<<20, "producer ids"))}
	case KindCommitOffsets:
		return r.readCommitOffsets()
	case KindPutGroup:
		return PutGroup{RoleEpoch(r.u64()), r.readGroup()}
	case KindDeleteGroup:
		return DeleteGroup{RoleEpoch(r.u64()), r.text()}
	case KindDeleteOffsets:
		return DeleteOffsets{r.text(), RoleEpoch(r.u64()), r.readTopicPartitions()}
	case KindPutMember:
		return r.readPutMember()
	case KindRemoveMembers:
		return r.readRemoveMembers()
	case KindSetAssignments:
		return r.readSetAssignments()
	case KindSetTargets:
		return r.readSetTargets()
	case KindExpireOffsets:
		return r.readExpireOffsets()
	case KindUsage:
		return Usage{r.uvarint(), UnixMilli(r.u64()), UnixMilli(r.u64()), r.readCells(), r.flag()}
	case KindRecoverCluster:
		return RecoverCluster{Incarnation(r.u32())}
	case KindPressure:
		return Pressure{PressureLevel(r.uvarintUpTo(uint64(PressureNoAppends), "pressure"))}
	case KindInitTxn:
		return r.readInitTxn()
	case KindAddToTxn:
		return r.readAddToTxn()
	case KindTxnOffsets:
		return r.readTxnOffsets()
	case KindEndTxn:
		return r.readEndTxn()
	case KindAbortTxn:
		return r.readAbortTxn()
	}
	r.fail("unknown command kind %d", kind)
	return nil
}

func (w *writer) writeTextList(s []string) {
	w.uvarint(uint64(len(s)))
	for _, t := range s {
		w.text(t)
	}
}

func (r *reader) readTextList() (out []string) {
	for range r.readCount(1, "list") {
		out = append(out, r.text())
	}
	return out
}

func (w *writer) writeOpenSession(c OpenSession) {
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

func (r *reader) readOpenSession() OpenSession {
	c := OpenSession{Want: BrokerID(r.u32()), Zone: ZoneID(r.text()), Kafka: Address{r.text(), int32(r.u32())}}
	for range r.readCount(4, "zone ports") {
		c.ZonePorts = append(c.ZonePorts, int32(r.u32()))
	}
	c.Peer, c.HTTP, c.Version = r.text(), r.text(), r.text()
	c.MinLevel, c.MaxLevel = FeatureLevel(r.u16()), FeatureLevel(r.u16())
	copy(c.Cluster[:], r.take(len(c.Cluster)))
	return c
}

func (w *writer) writeAcceptArchive(c AcceptArchive) {
	w.u64(uint64(c.Extent))
	w.text(c.Object)
	w.u64(uint64(c.First))
	w.u64(uint64(c.Last))
	w.uvarint(c.Entries)
	w.uvarint(uint64(c.Bytes))
	w.raw(c.Digest[:])
}

func (r *reader) readAcceptArchive() AcceptArchive {
	c := AcceptArchive{Extent: Extent(r.u64()), Object: r.text(), First: Revision(r.u64()), Last: Revision(r.u64()),
		Entries: r.uvarint(), Bytes: int64(r.uvarintUpTo(1<<50, "bytes"))}
	copy(c.Digest[:], r.take(len(c.Digest)))
	return c
}

func (w *writer) writeCommitOffsets(c CommitOffsets) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.writeOffsets(c.Offsets)
}

func (r *reader) readCommitOffsets() CommitOffsets {
	return CommitOffsets{r.text(), RoleEpoch(r.u64()), r.readOffsets()}
}

func (w *writer) writeOffsets(list []OffsetCommit) {
	w.uvarint(uint64(len(list)))
	for i := range list {
		o := &list[i]
		w.raw(o.Topic[:])
		w.uvarint(uint64(uint32(o.Partition)))
		w.varint(int64(o.Offset))
		w.varint(int64(o.LeaderEpoch))
		w.text(o.Metadata)
		w.u64(uint64(o.Time))
	}
}

func (r *reader) readOffsets() (out []OffsetCommit) {
	n := r.readCount(28, "offsets")
	if n > 0 {
		out = make([]OffsetCommit, 0, n)
	}
	for range n {
		out = append(out, OffsetCommit{r.readTopicID(), Partition(r.uvarintUpTo(1<<31-1, "partition")), Offset(r.varint()),
			LeaderEpoch(r.varint()), r.text(), UnixMilli(r.u64())})
	}
	return out
}

func (w *writer) writeGroup(g *Group) {
	w.text(g.Name)
	w.text(g.ProtocolType)
	w.text(g.Protocol)
	w.text(g.Leader)
	w.u32(uint32(g.Generation))
	w.uvarint(uint64(len(g.Members)))
	for i := range g.Members {
		m := &g.Members[i]
		w.text(m.ID)
		w.text(m.InstanceID)
		w.text(m.ClientID)
		w.text(m.ClientHost)
		w.u32(uint32(m.SessionTimeoutMs))
		w.u32(uint32(m.RebalanceTimeoutMs))
		w.writeProtocols(m.Protocols)
		w.blob(m.Assignment)
	}
}

func (r *reader) readGroup() Group {
	g := Group{Name: r.text(), ProtocolType: r.text(), Protocol: r.text(), Leader: r.text(), Generation: int32(r.u32())}
	for range r.readCount(14, "members") {
		m := GroupMember{ID: r.text(), InstanceID: r.text(), ClientID: r.text(), ClientHost: r.text(),
			SessionTimeoutMs: int32(r.u32()), RebalanceTimeoutMs: int32(r.u32())}
		m.Protocols = r.readProtocols()
		m.Assignment = r.blob()
		g.Members = append(g.Members, m)
	}
	return g
}

// writeCells interns the zones, principals and groups of a list of cells.
func (w *writer) writeCells(cells []Cell) {
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
		body.uvarint(id(string(c.Key.Src)))
		body.uvarint(id(string(c.Key.Dst)))
		body.uvarint(id(c.Key.Principal))
		body.uvarint(id(c.Key.Group))
		body.uvarint(c.Quantity.Hi)
		body.uvarint(c.Quantity.Lo)
	}
	w.writeTextList(names)
	w.uvarint(uint64(len(cells)))
	w.raw(body.b)
}

func (r *reader) readCells() (out []Cell) {
	names := r.readTextList()
	name := func() string {
		i := r.uvarint()
		if i >= uint64(len(names)) {
			r.fail("name %d of %d", i, len(names))
			return ""
		}
		return names[i]
	}
	n := r.readCount(23, "cells")
	if n > 0 {
		out = make([]Cell, 0, n)
	}
	for range n {
		c := Cell{Key: CellKey{Topic: r.readTopicID(), Component: Component(r.u8())}}
		c.Key.Src, c.Key.Dst = ZoneID(name()), ZoneID(name())
		c.Key.Principal, c.Key.Group = name(), name()
		c.Quantity = Quantity{Hi: r.uvarint(), Lo: r.uvarint()}
		if r.err == nil && !c.Key.Component.Valid() {
			r.fail("component %d", c.Key.Component)
		}
		out = append(out, c)
	}
	return out
}
