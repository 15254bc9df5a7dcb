package groups

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// A group changes its protocol while it lives (KIP-848; Kafka's
// group.consumer.migration.policy=bidirectional): to the consumer protocol
// with the first heartbeat of it, with all classic members inside; back to the
// classic one when the last member that speaks the consumer protocol is gone.
// An empty group is of the protocol of who comes next.

// upgrade makes a roster of a classic group, or says that it cannot be:
// members of another kind, or whose metadata cannot be read, or is too large to
// be written with all protocols, as this kind of group has it.
func upgrade(m *machine, r *roster, now time.Time) bool {
	if len(m.members) > 0 && m.protocolType != protocolTypeConsumer || len(m.members) > r.limits.consumers {
		return false
	}
	if len(m.members) > 0 {
		r.epoch, r.assigned = m.generation, m.generation
	}
	all := make([]*participant, 0, len(m.members))
	for _, mem := range m.inOrder() {
		p, ok := r.fromClassic(m, mem)
		if !ok {
			return false
		}
		all = append(all, p)
	}
	for _, p := range all {
		// Two that claim the same partition: one has it.
		p.assigned = p.assigned.keep(func(tp metadata.TopicPartition) bool { _, held := r.owner[tp]; return !held })
		p.target = p.assigned
		r.enter(p)
		r.hold(p, p.assigned, p.epoch)
		r.touch(now, p)
		r.book.put(p.info.ID)
	}
	return true
}

// fromClassic is a classic member as a roster's: at the generation's epoch,
// with what its leader gave it.
func (r *roster) fromClassic(m *machine, mem *member) (*participant, bool) {
	protocol := m.protocol
	if mem.metadataOf(protocol) == nil {
		protocol = mem.protocols[0].Name
	}
	says, ok := readSubscription(mem.metadataOf(protocol))
	if !ok {
		return nil, false
	}
	info := metadata.ConsumerMember{ID: mem.id, InstanceID: mem.instance, RackID: says.rack, ClientID: mem.clientID, ClientHost: mem.clientHost,
		RebalanceTimeoutMs: int32(mem.rebalance / time.Millisecond), Topics: says.topics,
		SessionTimeoutMs: int32(mem.session / time.Millisecond), Protocols: mem.protocols}
	if storedParticipant(r.name, &info) > maxStoredBytes {
		return nil, false
	}
	p := &participant{info: info, session: mem.session, rebalance: mem.rebalance, epoch: m.generation, previous: m.generation}
	if len(mem.assignment) > 0 {
		a := kmsg.NewConsumerMemberAssignment()
		if a.ReadFrom(mem.assignment) != nil {
			return nil, false
		}
		byName := map[string][]int32{}
		for _, t := range a.Topics {
			byName[t.Topic] = append(byName[t.Topic], t.Partitions...)
		}
		p.assigned = places(r.topics, byName)
	}
	return p, true
}

// classicOnly reports whether the group should go back to the classic
// protocol: there are members, and none speaks the consumer protocol.
func (r *roster) classicOnly() bool {
	return r.classics > 0 && r.classics == len(r.members)
}

// downgrade makes a classic group of a roster whose members all speak the
// classic protocol. They join again: their next generation has a leader.
func downgrade(r *roster, m *machine, now time.Time) {
	m.protocolType, m.stored = protocolTypeConsumer, true
	m.state = stateStable
	for _, id := range r.ids() {
		p := r.members[id]
		m.generation = max(m.generation, p.epoch) // no member was told of a later one
		mem := &member{id: id, instance: p.info.InstanceID, clientID: p.info.ClientID, clientHost: p.info.ClientHost,
			session: p.session, rebalance: p.rebalance, protocols: p.info.Protocols, synced: true, assignment: r.assignmentBytes(p)}
		m.enter(mem)
		m.touch(now, mem)
		if m.leader == "" {
			m.leader = id
		}
	}
	m.protocol = m.choose()
	m.prepare(now)
}

// join gives a JoinGroup to who is in charge.
func (g *group) join(now time.Time, a *joinAsk) {
	if g.k == nil || g.vacate() {
		g.m.join(now, a)
		return
	}
	switch {
	case len(g.k.members) == 0 && !g.busy(): // and could not be written: it is tried again
		a.refuse(codeNotAvailable, a.id)
		return
	case len(g.k.members) == 0: // its last member's leaving is on its way to the log
		g.later = append(g.later, func(now time.Time) { g.join(now, a) })
		return
	}
	g.k.join(now, a)
}

// beat gives a ConsumerGroupHeartbeat to the roster; a classic group becomes
// one for a newcomer, once its writes are done.
func (g *group) beat(now time.Time, b *beat) {
	switch {
	case g.k != nil:
		g.k.beat(now, b)
	case b.epoch != epochJoin:
		b.refuse(codeGroupNotFound, "the group is not a consumer group")
	case g.busy():
		g.later = append(g.later, func(now time.Time) { g.beat(now, b) })
	case !g.become(now):
		b.refuse(codeGroupNotFound, "the group is a classic group with members that cannot be taken over")
	default:
		g.k.beat(now, b)
	}
}

// become puts a group under the consumer protocol, if it can be; the caller
// knows that no write of it is on its way.
func (g *group) become(now time.Time) bool {
	if g.k != nil {
		return true
	}
	r := g.newRoster()
	if !upgrade(g.m, r, now) {
		return false
	}
	g.m.abandon(codeRebalance)
	g.m, g.k = newMachine(g.name, g.c.limits), r
	return true
}

// revert goes back to the classic protocol where only classic members are
// left, and the roster is written: who leads the next generation must not be
// answered from two books.
func (g *group) revert(now time.Time) {
	if g.k == nil || !g.k.book.clean() || !g.k.classicOnly() {
		return
	}
	m := newMachine(g.name, g.c.limits)
	downgrade(g.k, m, now)
	g.m, g.k = m, nil
}

// vacate puts an empty group under the classic protocol, for a JoinGroup.
func (g *group) vacate() bool {
	if g.k == nil {
		return true
	}
	if len(g.k.members) > 0 || !g.k.book.clean() {
		return false
	}
	m := newMachine(g.name, g.c.limits)
	m.stored = g.k.book.headStored
	g.m, g.k = m, nil
	return true
}
