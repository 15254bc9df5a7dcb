package metadata

// Parts of groups that commands and checkpoints encode in the same way.

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
	g := Group{Name: r.Text(), ProtocolType: r.Text(), Protocol: r.Text(), Leader: r.Text(), Generation: int32(r.Uint32())}
	for range r.Count(14, "members") {
		m := GroupMember{ID: r.Text(), InstanceID: r.Text(), ClientID: r.Text(), ClientHost: r.Text(),
			SessionTimeoutMs: int32(r.Uint32()), RebalanceTimeoutMs: int32(r.Uint32())}
		m.Protocols = r.readProtocols()
		m.Assignment = r.Bytes()
		g.Members = append(g.Members, m)
	}
	return g
}

func (w *writer) writeProtocols(list []GroupProtocol) {
	w.uvarint(uint64(len(list)))
	for _, p := range list {
		w.text(p.Name)
		w.blob(p.Metadata)
	}
}

func (r *reader) readProtocols() (out []GroupProtocol) {
	for range r.Count(2, "protocols") {
		out = append(out, GroupProtocol{r.Text(), r.Bytes()})
	}
	return out
}

func (w *writer) writeConsumerMember(m *ConsumerMember) {
	for _, t := range []string{m.ID, m.InstanceID, m.RackID, m.ClientID, m.ClientHost, m.Regex, m.Assignor} {
		w.text(t)
	}
	w.u32(uint32(m.RebalanceTimeoutMs))
	w.u32(uint32(m.SessionTimeoutMs))
	w.writeTextList(m.Topics)
	w.writeProtocols(m.Protocols)
}

func (r *reader) readConsumerMember() (m ConsumerMember) {
	for _, t := range []*string{&m.ID, &m.InstanceID, &m.RackID, &m.ClientID, &m.ClientHost, &m.Regex, &m.Assignor} {
		*t = r.Text()
	}
	m.RebalanceTimeoutMs, m.SessionTimeoutMs = int32(r.Uint32()), int32(r.Uint32())
	m.Topics, m.Protocols = r.readTextList(), r.readProtocols()
	return m
}

func (w *writer) writeMemberAssignment(a *MemberAssignment) {
	w.u32(uint32(a.Epoch))
	w.u32(uint32(a.Previous))
	w.u8(uint8(a.State))
	w.heldRanges(a.Assigned)
	w.heldRanges(a.Revoking)
}

func (r *reader) readMemberAssignment(id string) MemberAssignment {
	return MemberAssignment{id, int32(r.Uint32()), int32(r.Uint32()), MemberState(r.UvarintUpTo(uint64(MemberWaiting), "state")), r.heldRanges(), r.heldRanges()}
}

func (w *writer) writeMemberItem(k memberKey, m *memberState) {
	w.text(k.group)
	w.writeConsumerMember(&m.info)
	w.writeMemberAssignment(&m.assignment)
	w.writeRanges(m.target)
}

func (r *reader) readMemberItem(s *State) {
	k := memberKey{group: r.Text()}
	m := memberState{info: r.readConsumerMember(), assignment: r.readMemberAssignment(""), target: r.readRanges()}
	k.id = m.info.ID
	s.members.put(k, m)
}

// The parts of a group in a checkpoint.
const (
	groupHasClassic = 1 << iota
	groupHasConsumer
	groupIsEmpty
)

// writeGroupHead writes a group without its offsets and members.
func (w *writer) writeGroupHead(g *groupState) {
	var flags uint8
	if g.group != nil {
		flags |= groupHasClassic
	}
	if g.consumer != nil {
		flags |= groupHasConsumer
	}
	if g.emptySince != 0 {
		flags |= groupIsEmpty
	}
	w.u8(flags)
	if g.group != nil {
		w.writeGroup(g.group)
	}
	if c := g.consumer; c != nil {
		w.u32(uint32(c.Epoch))
		w.u32(uint32(c.AssignmentEpoch))
		w.uvarint(uint64(c.Members))
	}
	if g.emptySince != 0 {
		w.u64(uint64(g.emptySince))
	}
}

func (r *reader) readGroupHead(g *groupState) {
	flags := r.Uint8()
	if flags > groupHasClassic|groupHasConsumer|groupIsEmpty {
		r.Fail("group flags %#x", flags)
	}
	if flags&groupHasClassic != 0 {
		group := r.readGroup()
		g.group = &group
	}
	if flags&groupHasConsumer != 0 {
		g.consumer = &ConsumerGroup{int32(r.Uint32()), int32(r.Uint32()), int(r.UvarintUpTo(MaxMembers, "members"))}
	}
	if flags&groupIsEmpty != 0 {
		g.emptySince = UnixMilli(r.Uint64())
	}
}
