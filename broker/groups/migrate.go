package groups

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// A live group changes its protocol (KIP-848; Kafka's
// group.consumer.migration.policy=bidirectional): to the consumer protocol with
// the first ConsumerGroupHeartbeat, keeping all classic members; back to the
// classic protocol when the last member of the consumer protocol has left. An
// empty group takes the protocol of the next member.

// upgradeToConsumer converts a classic group to the consumer protocol. It
// returns false if members are not consumers, or their metadata cannot be read
// or is too large to be written with all protocols, as the consumer protocol
// requires.
func upgradeToConsumer(m *classicGroup, r *consumerGroup, now time.Time) bool {
	if len(m.members) > 0 && m.protocolType != protocolTypeConsumer || len(m.members) > r.limits.maxConsumers {
		return false
	}
	if len(m.members) > 0 {
		r.epoch, r.assignmentEpoch = m.generation, m.generation
	}
	all := make([]*consumerGroupMember, 0, len(m.members))
	for _, mem := range m.membersByArrival() {
		p, ok := r.convertClassicMember(m, mem)
		if !ok {
			return false
		}
		all = append(all, p)
	}
	for _, p := range all {
		// Of two members that claim a partition, one gets it.
		p.assigned = p.assigned.filter(func(tp metadata.TopicPartition) bool { _, held := r.owners[tp]; return !held })
		p.target = p.assigned
		r.addMember(p)
		r.claimPartitions(p, p.assigned, p.epoch)
		r.restartSession(now, p)
		r.writeBuffer.markMember(p.info.ID)
	}
	return true
}

// convertClassicMember converts a classic member: it is at the generation's
// epoch, with the assignment of its leader.
func (r *consumerGroup) convertClassicMember(m *classicGroup, mem *classicGroupMember) (*consumerGroupMember, bool) {
	protocol := m.protocol
	if mem.findMetadata(protocol) == nil {
		protocol = mem.protocols[0].Name
	}
	sub, ok := readSubscription(mem.findMetadata(protocol))
	if !ok {
		return nil, false
	}
	info := metadata.ConsumerMember{ID: mem.id, InstanceID: mem.instance, RackID: sub.rack, ClientID: mem.clientID, ClientHost: mem.clientHost,
		RebalanceTimeoutMs: int32(mem.rebalanceTimeout / time.Millisecond), Topics: sub.topics,
		SessionTimeoutMs: int32(mem.sessionTimeout / time.Millisecond), Protocols: mem.protocols}
	if consumerMemberRecordBytes(r.name, &info) > maxStoredBytes {
		return nil, false
	}
	p := &consumerGroupMember{info: info, sessionTimeout: mem.sessionTimeout, rebalanceTimeout: mem.rebalanceTimeout, epoch: m.generation, previousEpoch: m.generation}
	if len(mem.assignment) > 0 {
		a := kmsg.NewConsumerMemberAssignment()
		if a.ReadFrom(mem.assignment) != nil {
			return nil, false
		}
		byName := map[string][]int32{}
		for _, t := range a.Topics {
			byName[t.Topic] = append(byName[t.Topic], t.Partitions...)
		}
		p.assigned = resolvePartitions(r.topics, byName)
	}
	return p, true
}

// hasOnlyClassicMembers reports whether the group should go back to the classic
// protocol: it has members, and none uses the consumer protocol.
func (r *consumerGroup) hasOnlyClassicMembers() bool {
	return r.classicMembers > 0 && r.classicMembers == len(r.members)
}

// downgradeToClassic makes a classic group of a group whose members all use the
// classic protocol. They rejoin: their next generation has a leader.
func downgradeToClassic(r *consumerGroup, m *classicGroup, now time.Time) {
	m.protocolType, m.hasRecord = protocolTypeConsumer, true
	m.state = stateStable
	for _, id := range r.sortedMemberIDs() {
		p := r.members[id]
		m.generation = max(m.generation, p.epoch) // no member received a later one
		mem := &classicGroupMember{id: id, instance: p.info.InstanceID, clientID: p.info.ClientID, clientHost: p.info.ClientHost,
			sessionTimeout: p.sessionTimeout, rebalanceTimeout: p.rebalanceTimeout, protocols: p.info.Protocols, synced: true, assignment: r.encodeAssignment(p)}
		m.addMember(mem)
		m.restartSession(now, mem)
		if m.leader == "" {
			m.leader = id
		}
	}
	m.protocol = m.chooseProtocol()
	m.prepareRebalance(now)
}

// handleJoin passes a JoinGroup to the state machine of the group's protocol.
func (g *group) handleJoin(now time.Time, a *joinRequest) {
	if g.consumer == nil || g.convertEmptyToClassic() {
		g.classic.handleJoin(now, a)
		return
	}
	switch {
	case len(g.consumer.members) == 0 && !g.isWriting(): // the write failed and will be retried
		a.replyError(kerr.CoordinatorNotAvailable.Code, a.id)
		return
	case len(g.consumer.members) == 0: // the removal of its last member is being written
		g.deferred = append(g.deferred, func(now time.Time) { g.handleJoin(now, a) })
		return
	}
	g.consumer.handleClassicJoin(now, a)
}

// handleConsumerHeartbeat passes a ConsumerGroupHeartbeat to the group; a
// classic group is converted for a new member, once its writes are done.
func (g *group) handleConsumerHeartbeat(now time.Time, b *consumerHeartbeat) {
	switch {
	case g.consumer != nil:
		g.consumer.handleConsumerHeartbeat(now, b)
	case b.epoch != epochJoin:
		b.replyError(kerr.GroupIDNotFound.Code, "the group is not a consumer group")
	case g.isWriting():
		g.deferred = append(g.deferred, func(now time.Time) { g.handleConsumerHeartbeat(now, b) })
	case !g.convertToConsumer(now):
		b.replyError(kerr.GroupIDNotFound.Code, "the classic group has members that cannot be converted to the consumer protocol")
	default:
		g.consumer.handleConsumerHeartbeat(now, b)
	}
}

// convertToConsumer converts a group to the consumer protocol, if possible. The
// caller has checked that no write of it is in flight.
func (g *group) convertToConsumer(now time.Time) bool {
	if g.consumer != nil {
		return true
	}
	r := g.newConsumerGroup()
	if !upgradeToConsumer(g.classic, r, now) {
		return false
	}
	g.classic.failParked(kerr.RebalanceInProgress.Code)
	g.classic, g.consumer = newClassicGroup(g.name, g.c.limits), r
	return true
}

// revertToClassic converts the group back to the classic protocol when only
// classic members are left and everything is written: two state machines must
// never both choose the next generation's leader.
func (g *group) revertToClassic(now time.Time) {
	if g.consumer == nil || !g.consumer.writeBuffer.isDrained() || !g.consumer.hasOnlyClassicMembers() {
		return
	}
	m := newClassicGroup(g.name, g.c.limits)
	downgradeToClassic(g.consumer, m, now)
	g.classic, g.consumer = m, nil
}

// convertEmptyToClassic converts an empty group to the classic protocol, for a
// JoinGroup.
func (g *group) convertEmptyToClassic() bool {
	if g.consumer == nil {
		return true
	}
	if len(g.consumer.members) > 0 || !g.consumer.writeBuffer.isDrained() {
		return false
	}
	m := newClassicGroup(g.name, g.c.limits)
	m.hasRecord = g.consumer.writeBuffer.groupStored
	g.classic, g.consumer = m, nil
	return true
}
