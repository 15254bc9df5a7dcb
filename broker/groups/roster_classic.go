package groups

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Members that speak the classic protocol inside a group of the consumer
// protocol, while an application moves from one to the other (KIP-848, online
// migration). They learn of another target from a heartbeat (27), say in
// JoinGroup what they still own, and read what they have in SyncGroup: nobody
// leads, the coordinator assigns.

// subscription is what a classic consumer's protocol metadata says.
type subscription struct {
	version int16
	topics  []string // sorted
	owned   map[string][]int32
	rack    string
}

// readSubscription reads a consumer's metadata; false where it is none.
func readSubscription(b []byte) (s subscription, ok bool) {
	topics, ok := subscribedTopics(b)
	if !ok {
		return s, false
	}
	s.version = int16(binary.BigEndian.Uint16(b))
	slices.Sort(topics)
	s.topics = slices.Compact(topics)
	m := kmsg.NewConsumerMemberMetadata()
	if m.ReadFrom(b) != nil {
		return s, true // a version 1 without owned partitions is about (reference, section 19, row 30)
	}
	s.owned = map[string][]int32{}
	for _, t := range m.OwnedPartitions {
		s.owned[t.Topic] = t.Partitions
	}
	s.rack = text(m.Rack)
	return s, true
}

// places turns topic names into ids; what does not exist is left out.
func places(topics topicSource, byName map[string][]int32) parts {
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	var out []metadata.TopicPartition
	for name, t := range topics.find(names) {
		for _, p := range byName[name] {
			if p >= 0 && p < t.partitions {
				out = append(out, metadata.TopicPartition{Topic: t.id, Partition: metadata.Partition(p)})
			}
		}
	}
	return newParts(out)
}

// classicCount returns how many members speak the classic protocol, and how
// many of them speak each of its protocols.
func (r *roster) classicCount() (n int, speak map[string]int) {
	speak = map[string]int{}
	for _, p := range r.members {
		if p.classic() {
			n++
			for i := range p.info.Protocols {
				speak[p.info.Protocols[i].Name]++
			}
		}
	}
	return n, speak
}

// accepts reports whether a JoinGroup could take part beside the classic
// members that are here.
func (r *roster) accepts(a *joinAsk) bool {
	if a.protocolType != protocolTypeConsumer || len(a.protocols) == 0 {
		return false
	}
	n, speak := r.classicCount()
	if n == 0 || n == 1 && r.members[a.id] != nil && r.members[a.id].classic() {
		return true
	}
	return slices.ContainsFunc(a.protocols, func(p metadata.GroupProtocol) bool { return speak[p.Name] == n })
}

// join handles a JoinGroup. It is answered as soon as what it says is written:
// members do not wait for each other.
func (r *roster) join(now time.Time, a *joinAsk) {
	r.begin()
	if !r.book.retry.IsZero() && now.Before(r.book.retry) {
		a.refuse(codeNotAvailable, a.id)
		return
	}
	if !r.accepts(a) {
		a.refuse(codeInconsistentProtocol, a.id)
		return
	}
	if a.id == "" && a.instance == "" && a.needsID {
		a.refuse(codeMemberIDRequired, a.newID)
		return
	}
	says, ok := readSubscription(a.protocols[0].Metadata)
	if !ok {
		a.refuse(codeInconsistentProtocol, a.id)
		return
	}
	p, code := r.joiner(a)
	if code != codeOK {
		a.refuse(code, cmp.Or(a.id, a.newID))
		return
	}
	m := metadata.ConsumerMember{ID: cmp.Or(a.id, a.newID), InstanceID: a.instance, RackID: says.rack, ClientID: a.clientID,
		ClientHost: a.clientHost, RebalanceTimeoutMs: int32(a.rebalance / time.Millisecond), Topics: says.topics,
		SessionTimeoutMs: int32(a.session / time.Millisecond), Protocols: a.protocols}
	if code, _ := r.admits(p, &m); code != codeOK {
		a.refuse(code, a.id)
		return
	}
	if p == nil {
		p = r.welcome(m, &beat{rebalance: a.rebalance}, nil)
	} else {
		r.describe(p, m, nil)
	}
	p.rebalance, p.session, p.revokeBy = a.rebalance, a.session, time.Time{}
	r.refresh(now)
	r.settle(now)
	r.reconcile(now, p, places(r.topics, says.owned), true)
	r.touch(now, p)
	p.syncBy = now.Add(p.rebalance)
	r.wake(p.syncBy)
	out := joinResult{generation: p.epoch, protocolType: protocolTypeConsumer, protocol: a.protocols[0].Name, id: m.ID}
	r.book.hold(func(code int16) {
		if code != codeOK {
			out = joinResult{code: code, generation: noGeneration, id: m.ID}
		}
		a.call.reply(out)
	})
}

// joiner finds the member that a JoinGroup comes from; nil without a code is a
// newcomer.
func (r *roster) joiner(a *joinAsk) (*participant, int16) {
	if a.instance != "" {
		owner, known := r.instances[a.instance]
		switch {
		case !known && a.id != "":
			return nil, codeUnknownMember
		case !known:
			return nil, codeOK
		case a.id != "" && a.id != owner:
			return nil, codeFencedInstance
		case a.id == "":
			p := r.members[owner]
			r.succeed(p, a.newID)
			return p, codeOK
		}
		return r.members[owner], codeOK
	}
	return r.members[cmp.Or(a.id, a.newID)], codeOK
}

// classicMember finds a member that speaks the classic protocol and checks
// that it is the one it says it is.
func (r *roster) classicMember(id, instance string) (*participant, int16) {
	if instance != "" {
		switch owner, ok := r.instances[instance]; {
		case !ok:
			return nil, codeUnknownMember
		case owner != id:
			return nil, codeFencedInstance
		}
	}
	if p := r.members[id]; p != nil && p.classic() {
		return p, codeOK
	}
	return nil, codeUnknownMember
}

// mustJoin reports whether a classic member has to join again: for another
// target, to give up partitions, or to take some that became free.
func (r *roster) mustJoin(p *participant) bool {
	return p.epoch < r.assigned || p.state == metadata.MemberRevoking || p.state == metadata.MemberWaiting && !r.waits(p)
}

// heartbeat handles a classic member's Heartbeat.
func (r *roster) heartbeat(now time.Time, id, instance string, generation int32) int16 {
	p, code := r.classicMember(id, instance)
	switch {
	case code != codeOK:
		return code
	case generation != p.epoch:
		return codeIllegalGeneration
	}
	r.touch(now, p)
	r.begin()
	r.refresh(now)
	r.settle(now)
	if !r.mustJoin(p) {
		return codeOK
	}
	if p.revokeBy.IsZero() {
		r.mustRevoke(now, p) // it has its rebalance timeout to join
	}
	return codeRebalance
}

// sync handles a classic member's SyncGroup. One that has partitions to give up
// has joined already, and a cooperative one learns here, and only here, which.
func (r *roster) sync(now time.Time, a *syncAsk) {
	p, code := r.classicMember(a.id, a.instance)
	switch {
	case code != codeOK:
	case a.generation != p.epoch:
		code = codeIllegalGeneration
	case a.protocolType != nil && *a.protocolType != protocolTypeConsumer, a.protocol != nil && *a.protocol != p.info.Protocols[0].Name:
		code = codeInconsistentProtocol
	case p.epoch < r.assigned && p.state != metadata.MemberRevoking:
		code = codeRebalance
	}
	if code != codeOK {
		a.call.reply(syncResult{code: code})
		return
	}
	p.syncBy = time.Time{}
	r.touch(now, p)
	out := syncResult{protocolType: protocolTypeConsumer, protocol: p.info.Protocols[0].Name, assignment: r.assignmentBytes(p)}
	r.book.hold(func(code int16) {
		if code != codeOK {
			out = syncResult{code: code}
		}
		a.call.reply(out)
	})
}

// maxAssignmentVersion is the newest version of the consumer protocol's
// assignment there is; all begin alike.
const maxAssignmentVersion = 3

// assignmentBytes is what a member has, as classic consumers read it.
func (r *roster) assignmentBytes(p *participant) []byte {
	names := make(map[metadata.TopicID]string, len(r.subs.known))
	for name, t := range r.subs.known {
		names[t.id] = name
	}
	out := kmsg.NewConsumerMemberAssignment()
	if says, ok := readSubscription(p.info.Protocols[0].Metadata); ok {
		out.Version = min(says.version, maxAssignmentVersion)
	}
	for _, t := range byTopic(p.assigned) {
		if name, known := names[t.id]; known {
			a := kmsg.NewConsumerMemberAssignmentTopic()
			a.Topic, a.Partitions = name, t.partitions
			out.Topics = append(out.Topics, a)
		}
	}
	return out.AppendTo(nil)
}

// topicParts is a topic and partitions of it.
type topicParts struct {
	id         metadata.TopicID
	partitions []int32
}

func byTopic(set parts) (out []topicParts) {
	for _, tp := range set {
		if n := len(out); n == 0 || out[n-1].id != tp.Topic {
			out = append(out, topicParts{id: tp.Topic})
		}
		t := &out[len(out)-1]
		t.partitions = append(t.partitions, int32(tp.Partition))
	}
	return out
}

// leaveOne handles one member of a LeaveGroup, of either protocol, as Kafka
// does: by its id, or a static one by its instance alone (an operator's tool).
func (r *roster) leaveOne(now time.Time, id, instance string) int16 {
	if id == "" && instance != "" {
		id = r.instances[instance]
	}
	p := r.members[id]
	switch owner, known := r.instances[instance]; {
	case instance != "" && !known, p == nil && instance == "":
		return codeUnknownMember
	case instance != "" && owner != id:
		return codeFencedInstance
	}
	r.fence(now, p)
	return codeOK
}
