package metadata

import "math"

// Bodies of the commands of commands_member.go, and a stored member.

func (w *writer) writeRanges(list []PartitionRange) {
	w.uvarint(uint64(len(list)))
	var last *PartitionRange
	for i := range list {
		w.partitionRange(last, &list[i])
		last = &list[i]
	}
}

// partitionRange writes a range; last is the one before it, nil for none.
func (w *writer) partitionRange(last, p *PartitionRange) {
	same := last != nil && last.Topic == p.Topic
	w.flag(same)
	if !same {
		w.raw(p.Topic[:])
	}
	w.uvarint(uint64(uint32(p.First)))
	w.uvarint(uint64(uint32(p.Count)))
}

func (w *writer) heldRanges(list []HeldRange) {
	w.uvarint(uint64(len(list)))
	var last *PartitionRange
	for i := range list {
		w.partitionRange(last, &list[i].PartitionRange)
		w.uvarint(uint64(uint32(list[i].Since)))
		last = &list[i].PartitionRange
	}
}

func (r *reader) readRanges() (out []PartitionRange) {
	for range r.Count(3, "ranges") {
		next, touches := r.partitionRange(lastOf(out))
		if touches {
			r.Fail("ranges that touch")
		}
		if r.Err() != nil {
			return nil
		}
		out = append(out, next)
	}
	return out
}

func (r *reader) heldRanges() (out []HeldRange) {
	for range r.Count(4, "ranges") {
		var last *PartitionRange
		if l := lastOf(out); l != nil {
			last = &l.PartitionRange
		}
		next, touches := r.partitionRange(last)
		since := int32(r.UvarintUpTo(math.MaxInt32, "epoch"))
		if touches && since == out[len(out)-1].Since {
			r.Fail("ranges that touch")
		}
		if r.Err() != nil {
			return nil
		}
		out = append(out, HeldRange{next, since})
	}
	return out
}

func lastOf[T any](list []T) *T {
	if len(list) == 0 {
		return nil
	}
	return &list[len(list)-1]
}

// partitionRange reads a range that stands behind last, which may be nil, and
// reports whether it begins where that one ends.
func (r *reader) partitionRange(last *PartitionRange) (next PartitionRange, touches bool) {
	switch same := r.Flag(); {
	case !same:
		next.Topic = r.readTopicID()
	case last == nil:
		r.Fail("a range without a topic")
	default:
		next.Topic = last.Topic
	}
	next.First = Partition(r.UvarintUpTo(MaxPartitionsPerTopic-1, "partition"))
	next.Count = int32(r.UvarintUpTo(MaxPartitionsPerTopic-uint64(next.First), "partitions"))
	switch {
	case next.Count == 0:
		r.Fail("an empty range")
	case last == nil:
	case last.Topic == next.Topic:
		end := last.First + Partition(last.Count)
		if touches = next.First == end; next.First < end {
			r.Fail("ranges out of order")
		}
	case compareStrings(string(last.Topic[:]), string(next.Topic[:])) > 0:
		r.Fail("ranges out of order")
	}
	return next, touches
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

func (w *writer) writePutMember(c PutMember) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.u32(uint32(c.GroupEpoch))
	w.writeConsumerMember(&c.Member)
}

func (r *reader) readPutMember() PutMember {
	return PutMember{r.Text(), RoleEpoch(r.Uint64()), int32(r.Uint32()), r.readConsumerMember()}
}

func (w *writer) writeRemoveMembers(c RemoveMembers) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.u32(uint32(c.GroupEpoch))
	w.writeTextList(c.IDs)
}

func (r *reader) readRemoveMembers() RemoveMembers {
	return RemoveMembers{r.Text(), RoleEpoch(r.Uint64()), int32(r.Uint32()), r.readTextList()}
}

func (w *writer) writeSetAssignments(c SetAssignments) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.uvarint(uint64(len(c.Members)))
	for i := range c.Members {
		w.text(c.Members[i].ID)
		w.writeMemberAssignment(&c.Members[i])
	}
}

func (r *reader) readSetAssignments() SetAssignments {
	c := SetAssignments{Group: r.Text(), Epoch: RoleEpoch(r.Uint64())}
	for range r.Count(12, "members") {
		c.Members = append(c.Members, r.readMemberAssignment(r.Text()))
	}
	return c
}

func (w *writer) writeSetTargets(c SetTargets) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.u32(uint32(c.GroupEpoch))
	w.u32(uint32(c.AssignmentEpoch))
	w.uvarint(uint64(len(c.Targets)))
	for i := range c.Targets {
		w.text(c.Targets[i].ID)
		w.writeRanges(c.Targets[i].Target)
	}
}

func (r *reader) readSetTargets() SetTargets {
	c := SetTargets{Group: r.Text(), Epoch: RoleEpoch(r.Uint64()), GroupEpoch: int32(r.Uint32()), AssignmentEpoch: int32(r.Uint32())}
	for range r.Count(2, "targets") {
		c.Targets = append(c.Targets, MemberTarget{r.Text(), r.readRanges()})
	}
	return c
}

func (w *writer) writeExpireOffsets(c ExpireOffsets) {
	w.text(c.Group)
	w.u64(uint64(c.Epoch))
	w.u64(uint64(c.Before))
	w.writeTopicPartitions(c.Partitions)
}

func (r *reader) readExpireOffsets() ExpireOffsets {
	return ExpireOffsets{r.Text(), RoleEpoch(r.Uint64()), UnixMilli(r.Uint64()), r.readTopicPartitions()}
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

// writeGroupHead is a group without its offsets and members.
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
